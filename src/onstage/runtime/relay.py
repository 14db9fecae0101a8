"""The relay: publishes what its store has, in order, until the log has it; and again what the log has lost.

Theory of operation. The outbox is the store's own log: one writer numbers events and bundles of receipts in commit
order, so "everything durable behind the last mark" is exact, and the tail of a writer that died comes first by itself.
A parcel is published as one batch; then a mark (sequence number and id of its last message) and the counters of its
subjects are committed. A relay that dies in between publishes the same messages under the same ids again.

On each connect, and from time to time, it looks whether its newest mark still stands. If not, the log lost its tail: it
goes back to the newest mark that does, and publishes from there anew, without ids, because the broker may believe that
it has them. Readers drop what they know.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.core.commit import Commit, Note, Notes
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.events.binding import to_headers
from onstage.events.subject import control_subject, event_subject, partition_of, receipt_subject
from onstage.events.wire_receipt import WireReceipt, encode_wire
from onstage.ports.broker import Message
from onstage.ports.store import Refused
from onstage.runtime.marks import ID, MARKS_KEPT, Mark, decode_mark, encode_mark, newest_standing
from onstage.runtime.wire import names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onstage.events.receipt import Receipt
    from onstage.ports.broker import Broker
    from onstage.ports.store import Bundle, EventView
    from onstage.runtime.node import Node

__all__ = ["FIRST", "FORWARD", "WRITER", "Relay"]

FORWARD: Final = "forward"
"""The topic of events from outside that wait for the owner of their process: what `forward` has put there."""
WRITER: Final = "onstage-writer"
FIRST: Final = "onstage-first"

SENT: Final = "sent"
EVENTS_AT_ONCE: Final = 500
BUNDLES_AT_ONCE: Final = 300
FORWARDS_AT_ONCE: Final = 100
PAUSE_S: Final = 0.2
PAUSE_S_MAX: Final = 5.0
LOOK_S: Final = 10.0
"""The newest mark is looked at this often even if nothing seems wrong."""

log = logging.getLogger("onstage.relay")
_ENCODE_INT: Final = msgspec.msgpack.Encoder().encode
_DECODE_INT: Final = msgspec.msgpack.Decoder(int).decode


class _Parcel(NamedTuple):
    messages: list[Message]
    n: int
    position: int
    forward: int
    counted: Counter[str]


@final
class Relay:
    """Publishes for one node. Started when its node runs, poked with every batch."""

    def __init__(self, node: Node, broker: Broker) -> None:
        """For this node."""
        self._node = node
        self._broker = broker
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sent = Mark("", 0, "")
        self._kept = 0
        self._counters: dict[str, int] = {}
        self._anew_to = Mark("", 0, "")
        self._doubtful = True
        self._stream = ""
        self.republished = 0
        self.published = 0

    async def start(self) -> None:
        """Go on where the store says."""
        newest = await self._node.store.reader.notes(SENT, newest_first=True, limit=1)
        if newest:
            self._sent, self._kept = decode_mark(newest[0]), newest[0].number
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def poke(self) -> None:
        """There may be something to publish."""
        self._wake.set()

    def doubt(self) -> None:
        """The broker was away, or somebody misses something: look whether the log still has what it had."""
        self._doubtful = True
        self._wake.set()

    async def close(self) -> None:
        """Publish no more. What is not published is when the next node starts."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # The loop.

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause, looked = PAUSE_S, loop.time()
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                self._doubtful = True
            self._wake.clear()
            try:
                if self._doubtful or loop.time() - looked > LOOK_S:
                    self._doubtful, looked = False, loop.time()
                    await self._look()
                while await self._publish():
                    pause = PAUSE_S
            except (BrokerUnavailable, StoreUnavailable, Refused) as error:
                log.debug("nothing is published for %.1f s: %s", pause, error)
                self._doubtful = True
                await asyncio.sleep(pause * (0.5 + self._node.clock.chance() / 2))
                pause = min(2 * pause, PAUSE_S_MAX)
                self._wake.set()
            except Exception:
                log.exception("the relay failed; it tries again")
                await asyncio.sleep(PAUSE_S_MAX)
                self._wake.set()

    async def _publish(self) -> bool:
        parcel = await self._next()
        if parcel is None:
            return False
        mark = msgspec.structs.replace(self._sent, n=parcel.n, position=parcel.position, forward=parcel.forward)
        if parcel.messages:
            seqs = await self._broker.publish(parcel.messages)
            last = parcel.messages[-1].headers[ID]
            mark = msgspec.structs.replace(mark, stream=self._stream, seq=seqs[-1], id=last)
            self.published += len(parcel.messages)
            if self._is_anew:
                self.republished += len(parcel.messages)
        await self._keep(mark, parcel.counted)
        return True

    @property
    def _is_anew(self) -> bool:
        sent, known = self._sent, self._anew_to
        return sent.n < known.n or sent.position < known.position or sent.forward < known.forward

    async def _keep(self, mark: Mark, counted: Counter[str]) -> None:
        counters = {subject: self._counters[subject] + count for subject, count in counted.items()}
        number = self._kept + 1
        kept = [Note(SENT, number, encode_mark(mark)), *_counter_notes(counters)]
        await self._commit(Notes(kept, [(SENT, 0, number - MARKS_KEPT)]))
        self._sent, self._kept = mark, number
        self._counters |= counters

    async def _commit(self, notes: Notes) -> None:
        node = self._node
        position = node.append(Commit(epoch=node.epoch, notes=notes), None)
        node.dispatcher.flush_soon()
        await node.store.durable(position)

    # What comes next.

    async def _next(self) -> _Parcel | None:
        """The next messages, in order: never a receipt before the events that it speaks of."""
        reader, sent = self._node.store.reader, self._sent
        bundles = await reader.receipts(after=sent.position, limit=BUNDLES_AT_ONCE)
        events = await reader.events(after=sent.n, limit=EVENTS_AT_ONCE)
        forwards = await reader.notes(FORWARD, after=sent.forward, limit=FORWARDS_AT_ONCE)
        if len(events) == EVENTS_AT_ONCE:
            bundles = _up_to(bundles, events[-1].n)
        if not (bundles or events or forwards):
            return None
        own = [event for event in events if names_of(event)[1] is None]
        messages, counted = await self._events(own)
        messages += [self._bundle(bundle) for bundle in bundles]
        messages += [self._forward(note) for note in forwards]
        return _Parcel(
            messages,
            events[-1].n if events else sent.n,
            bundles[-1].position if bundles else sent.position,
            forwards[-1].number if forwards else sent.forward,
            counted,
        )

    async def _events(self, events: Sequence[EventView]) -> tuple[list[Message], Counter[str]]:
        messages: list[Message] = []
        counted: Counter[str] = Counter()
        for event in events:
            subject = self._subject(event)
            counted[subject] += 1
            messages.append(self._event(event, subject, await self._counter(subject) + counted[subject]))
        return messages, counted

    def _subject(self, event: EventView) -> str:
        return event_subject(self._broker.namespace, partition_of(event.key, event.n), event.type)

    def _event(self, event: EventView, subject: str, sequence: int) -> Message:
        envelope = msgspec.structs.replace(self._node.envelope(event), sequence=str(sequence))
        wire = self._node.numbers.identity.wire(event.n)
        return Message(subject, event.data, to_headers(envelope) | {ID: wire}, self._id(wire))

    def _bundle(self, bundle: Bundle) -> Message:
        node, shard = self._node, bundle.shard
        writer = node.writers[bundle.epoch - 1]
        name = f"{writer}-r{shard}-{bundle.seq}"
        body = encode_wire(tuple(self._receipt(receipt) for receipt in bundle.receipts))
        headers = {ID: name, WRITER: f"{writer}-r{shard}", FIRST: str(bundle.seq)}
        return Message(receipt_subject(self._broker.namespace, shard), body, headers, self._id(name))

    def _receipt(self, receipt: Receipt) -> WireReceipt:
        node, numbers = self._node, self._node.numbers
        process, event = receipt.names or numbers.names(receipt.process, receipt.event)
        return WireReceipt(
            process,
            event,
            node.handler_names.get(receipt.handler, ""),
            receipt.segment,
            receipt.status,
            receipt.hlc,
            receipt.delta,
            tuple((numbers.identity.wire(n), node.type_names[type_id]) for n, type_id in receipt.outputs),
            receipt.started,
            receipt.ended,
            receipt.attempts,
            receipt.error,
            receipt.until,
            receipt.waits,
        )

    def _forward(self, note: Note) -> Message:
        owner, headers, data = decode_forward(note.body)
        return Message(control_subject(self._broker.namespace, owner), data, headers, self._id(headers[ID]))

    def _id(self, name: str) -> str | None:
        return None if self._is_anew else name

    async def _counter(self, subject: str) -> int:
        known = self._counters.get(subject)
        if known is None:
            notes = await self._node.store.reader.notes(_counter_topic(subject), limit=1)
            known = self._counters[subject] = _DECODE_INT(notes[0].body) if notes else 0
        return known

    # What the log has lost.

    async def _look(self) -> None:
        """Look whether the newest mark stands; go back to one that does if not."""
        if not self._sent.seq:
            self._stream = (await self._broker.state()).identity
            return
        notes = await self._node.store.reader.notes(SENT, newest_first=True, limit=MARKS_KEPT)
        standing, state = await newest_standing(self._broker, notes)
        self._stream = state.identity
        if standing is not None and standing.number == self._kept:
            return
        good = Mark("", 0, "") if standing is None else decode_mark(standing)
        log.warning("the broker lost what it had acknowledged, from event %s on; it is published again", good.n + 1)
        await self._go_back(good, 0 if standing is None else standing.number)

    async def _go_back(self, good: Mark, number: int) -> None:
        counted = await self._counted(good.n, self._sent.n)
        counters = {subject: await self._counter(subject) - count for subject, count in counted.items()}
        kept = [Note(SENT, number, encode_mark(good)), *_counter_notes(counters)]
        await self._commit(Notes(kept, [(SENT, number, self._kept)]))
        if not self._is_anew:
            self._anew_to = self._sent
        self._sent, self._kept = good, number
        self._counters |= counters

    async def _counted(self, after: int, last: int) -> Counter[str]:
        counted: Counter[str] = Counter()
        while after < last:
            page = await self._node.store.reader.events(after=after, limit=EVENTS_AT_ONCE)
            counted.update(self._subject(e) for e in page if e.n <= last and names_of(e)[1] is None)
            if not page:
                break
            after = page[-1].n
        return counted

    async def send_again(self, subject: str, behind: int) -> int:
        """Publish the events of one subject again that come behind its `behind`-th; answers how many. Rare, so slow."""
        reader, after, rank, sent = self._node.store.reader, 0, 0, 0
        type_name = subject.split(".", 3)[-1]
        while page := await reader.events(type=type_name, after=after, limit=EVENTS_AT_ONCE):
            messages: list[Message] = []
            for event in page:
                if names_of(event)[1] is not None or self._subject(event) != subject or event.n > self._sent.n:
                    continue
                rank += 1
                if rank > behind:
                    messages.append(msgspec.structs.replace(self._event(event, subject, rank), id=None))
            if messages:
                await self._broker.publish(messages)
                sent += len(messages)
            after = page[-1].n
        self.republished += sent
        return sent


def encode_forward(owner: str, headers: dict[str, str], data: bytes) -> bytes:
    """An event from outside on its way to the owner of its process, as a note."""
    return msgspec.msgpack.encode((owner, headers, data))


def decode_forward(body: bytes) -> tuple[str, dict[str, str], bytes]:
    """The owner, the headers and the payload in such a note."""
    return msgspec.msgpack.decode(body, type=tuple[str, dict[str, str], bytes])


def _counter_topic(subject: str) -> str:
    return f"out {subject}"


def _counter_notes(counters: dict[str, int]) -> Iterable[Note]:
    return (Note(_counter_topic(subject), 0, _ENCODE_INT(count)) for subject, count in counters.items())


def _up_to(bundles: Sequence[Bundle], n: int) -> list[Bundle]:
    """The first bundles that speak of no event behind `n`."""
    found: list[Bundle] = []
    for bundle in bundles:
        if any(max((receipt.event, *(out for out, _ in receipt.outputs))) > n for receipt in bundle.receipts):
            break
        found.append(bundle)
    return found

"""The relay: publishes what its store has, in order, until the log has it; and again what the log has lost.

Theory of operation. The outbox is the store's own log: one writer numbers events and bundles of receipts in commit
order, so "everything durable behind the last mark" is exact, and the tail of a writer that died comes first by itself.
A parcel is published as one batch; then a mark (sequence number and id of its last message) and the counters of its
subjects are committed. A relay that dies in between publishes the same messages under the same ids again.

On each connect, and from time to time, it looks whether its marks still stand: all since the last look, because what
was published before a loss was noticed stands behind the hole. If one does not, it goes back to the last mark before it
and publishes from there anew, without ids, for the broker may believe that it has them. Readers drop what they know.

A single message that is gone is missed by whoever reads the next one on its subject. Behind the last there is none: so
when the log has more holes than before, the last one of each subject is published again, whichever it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.core.commit import Note, Notes
from onstage.errors import BrokerUnavailable, StoreUnavailable, UsageError
from onstage.ports.store import Refused
from onstage.runtime.marks import (
    ID,
    MARKS_KEPT,
    Holes,
    KeptMarks,
    Mark,
    decode_holes,
    decode_mark,
    encode_mark,
    newest_standing,
    stands,
)
from onstage.runtime.outgoing import Outgoing, is_own
from onstage.runtime.strand_counts import StrandCounts
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from onstage.ports.broker import Broker, LogState, Message
    from onstage.ports.store import Bundle, EventView
    from onstage.runtime.node import Node
    from onstage.runtime.strand_counts import Counting
    from onstage.runtime.strands import Ask

__all__ = ["FORWARD", "Relay"]

FORWARD: Final = "forward"
"""The topic of events from outside that wait for the owner of their process: what `forward` has put there."""

SENT: Final = "sent"
ANEW: Final = "sent anew"
HOLES: Final = "holes"
EVENTS_AT_ONCE: Final = 500
BUNDLES_AT_ONCE: Final = 300
FORWARDS_AT_ONCE: Final = 100
PAUSE_S: Final = 0.2
PAUSE_S_MAX: Final = 5.0
LOOK_S: Final = 10.0
"""The newest marks are looked at this often even if nothing seems wrong."""

log = logging.getLogger("onstage.relay")
_NOWHERE: Final = Mark("", 0, "")


class _Parcel(NamedTuple):
    messages: list[Message]
    n: int
    position: int
    forward: int
    counting: Counting


@final
class Relay:
    """Publishes for one node. Started when its node runs, poked with every batch."""

    def __init__(self, node: Node, broker: Broker) -> None:
        """For this node."""
        self._node = node
        self._broker = broker
        self._outgoing: Outgoing
        self._wake = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._sent = _NOWHERE
        self._kept = 0
        self._marks = KeptMarks()
        self._verified = 0
        self._counts = StrandCounts()
        self._holes = Holes("", 0)
        self._anew_to = _NOWHERE
        self._doubtful = True
        self.republished = 0
        self.published = 0

    async def start(self) -> None:
        """Go on where the store says."""
        self._outgoing = Outgoing(self._node, self._broker.namespace)
        reader = self._node.store.reader
        notes = await reader.notes(SENT, newest_first=True, limit=MARKS_KEPT)
        self._marks = KeptMarks(note.number for note in reversed(notes))
        if notes:
            self._sent, self._kept = decode_mark(notes[0]), notes[0].number
        if anew := await reader.notes(ANEW, limit=1):
            self._anew_to = decode_mark(anew[0])
        if holes := await reader.notes(HOLES, limit=1):
            self._holes = decode_holes(holes[0])
        await self._counts.load(reader)
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def sent_n(self) -> int:
        """The number of the last event that the broker is known to have; all before it are published, or not ours."""
        return self._sent.n

    def poke(self) -> None:
        """There may be something to publish."""
        self._wake.set()

    def doubt(self) -> None:
        """The broker was away, or somebody misses something: look whether the log still has what it had."""
        self._doubtful = True
        self._wake.set()

    async def close(self) -> None:
        """Publish no more. What is not published is when the next node starts."""
        await end_tasks(self._task)

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
                while not self._doubtful and await self._publish():
                    pause = PAUSE_S
                if self._doubtful:
                    self._wake.set()
            except (BrokerUnavailable, StoreUnavailable, Refused) as error:
                log.debug("nothing is published for %.1f s: %s", pause, error)
                self._doubtful = True
                await asyncio.sleep(pause * (0.5 + self._node.clock.chance() / 2))
                pause = min(2 * pause, PAUSE_S_MAX)
                self._wake.set()
            except UsageError as error:
                log.error("nothing more is published: %s", error)  # noqa: TRY400  it says what to do
                self._doubtful = True
                await asyncio.sleep(PAUSE_S_MAX)
                self._wake.set()
            except Exception:
                log.exception("the relay failed; it tries again")
                self._doubtful = True
                await asyncio.sleep(PAUSE_S_MAX)
                self._wake.set()

    async def _publish(self) -> bool:
        async with self._publishing:
            parcel = await self._next()
            if parcel is None:
                return False
            mark = msgspec.structs.replace(self._sent, n=parcel.n, position=parcel.position, forward=parcel.forward)
            if parcel.messages:
                state = await self._broker.state()
                if self._sent.seq and (state.identity != self._sent.stream or state.last < self._sent.seq):
                    self._doubtful = True
                    return False
                seqs = await self._send(parcel.messages, anew=self._is_anew)
                end = max(range(len(seqs)), key=seqs.__getitem__)  # what stands last: the others are before it
                mark = msgspec.structs.replace(
                    mark, stream=state.identity, seq=seqs[end], id=parcel.messages[end].headers[ID]
                )
            await self._keep(mark, parcel.counting)
            return True

    async def _send(self, messages: Sequence[Message], *, anew: bool) -> list[int]:
        if anew:
            messages = [msgspec.structs.replace(message, id=None) for message in messages]
        seqs = await self._broker.publish(messages)
        self.published += len(messages)
        self.republished += len(messages) if anew else 0
        return seqs

    @property
    def _is_anew(self) -> bool:
        sent, known = self._sent, self._anew_to
        return sent.n < known.n or sent.position < known.position or sent.forward < known.forward

    async def _keep(self, mark: Mark, counting: Counting) -> None:
        number = self._kept + 1
        kept = [Note(SENT, number, encode_mark(mark)), *counting.notes]
        await self._commit(Notes(kept, [(SENT, old, old) for old in self._marks.dropped()]))
        self._marks.add(number)
        self._sent, self._kept = mark, number
        self._counts.settle(counting)

    async def _commit(self, notes: Notes) -> None:
        await self._node.store.durable(self._node.append_notes(notes))

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
        messages: list[Message] = []
        counting, outgoing = self._counts.begin(), self._outgoing
        messages += [
            outgoing.event(event, counting.next(outgoing.subject(event), event.n)) for event in filter(is_own, events)
        ]
        messages += [await outgoing.bundle(bundle) for bundle in bundles]
        messages += [
            outgoing.forward(note, counting.next(outgoing.forward_subject(note), note.number)) for note in forwards
        ]
        return _Parcel(
            messages,
            events[-1].n if events else sent.n,
            bundles[-1].position if bundles else sent.position,
            forwards[-1].number if forwards else sent.forward,
            counting,
        )

    # What the log has lost.

    async def _look(self) -> None:
        """Look whether the marks since the last look stand, and whether single messages have gone since."""
        if not self._sent.seq:
            return
        state = await self._broker.state()
        await self._look_at_marks(state)
        await self._look_for_holes(state)

    async def _look_at_marks(self, state: LogState) -> None:
        notes, good = await self._node.store.reader.notes(SENT, newest_first=True, limit=MARKS_KEPT), None
        doubted = [note for note in reversed(notes) if note.number >= self._verified]
        for note in doubted:
            if not await stands(self._broker, state, decode_mark(note)):
                break
            good = note
        else:
            self._verified = self._kept
            return
        if good is None:
            good, _ = await newest_standing(self._broker, notes[len(doubted) :])
        mark, number = (_NOWHERE, 0) if good is None else (decode_mark(good), good.number)
        log.warning("the broker lost what it had acknowledged, from event %s on; it is published again", mark.n + 1)
        async with self._publishing:
            await self._go_back(mark, number)

    async def _go_back(self, good: Mark, number: int) -> None:
        counting = self._counts.less(await self._counted(good, self._sent))
        anew_to = self._anew_to if self._is_anew else self._sent
        kept = [Note(SENT, number, encode_mark(good)), Note(ANEW, 0, encode_mark(anew_to)), *counting.notes]
        await self._commit(Notes(kept, [(SENT, number, self._kept)]))
        self._marks.go_back(number)
        self._sent, self._kept, self._verified, self._anew_to = good, number, number, anew_to
        self._counts.settle(counting)

    async def _look_for_holes(self, state: LogState) -> None:
        known = self._holes.count if self._holes.stream == state.identity else 0
        if state.holes > known:
            log.warning("single messages of the log are gone; the last one of each subject is published again")
            async with self._publishing:
                await self._send_all(self._ends())
        holes = Holes(state.identity, state.holes)
        if holes != self._holes:
            await self._commit(Notes([Note(HOLES, 0, encode_mark(holes))]))
            self._holes = holes

    async def _counted(self, good: Mark, last: Mark) -> Counter[str]:
        """How many events and forwards there are on each subject behind one mark, up to another."""
        counted, outgoing = Counter[str](), self._outgoing
        async for event in self._events(after=good.n, last=last.n):
            counted[outgoing.subject(event)] += 1
        async for note in self._forwards(after=good.forward, last=last.forward):
            counted[outgoing.forward_subject(note)] += 1
        return counted

    async def _events(self, *, after: int, last: int, type: str | None = None) -> AsyncIterator[EventView]:
        while page := await self._node.store.reader.events(type=type, after=after, limit=EVENTS_AT_ONCE):
            for event in page:
                if event.n > last:
                    return
                if is_own(event):
                    yield event
            after = page[-1].n

    async def _forwards(self, *, after: int, last: int) -> AsyncIterator[Note]:
        while page := await self._node.store.reader.notes(FORWARD, after=after, limit=FORWARDS_AT_ONCE):
            for note in page:
                if note.number > last:
                    return
                yield note
            after = page[-1].number

    # What somebody misses.

    async def send_again(self, ask: Ask) -> int:
        """Publish again what is asked for, as far as it was published; answers how many. Rare, so slow."""
        if ask.store != self._outgoing.store:
            return 0
        async with self._publishing:  # so nothing comes in between, and all up to the last number sent is there
            return await self._send_all(self._asked(ask))

    async def _send_all(self, messages: AsyncIterator[Message]) -> int:
        sent = 0
        parcel: list[Message] = []
        async for message in messages:
            parcel.append(message)
            if len(parcel) == EVENTS_AT_ONCE:
                sent += len(await self._send(parcel, anew=True))
                parcel = []
        if parcel:
            sent += len(await self._send(parcel, anew=True))
        return sent

    async def _ends(self) -> AsyncIterator[Message]:
        """The last message on each subject, and the last bundle: nothing comes behind them that shows their loss."""
        reader, outgoing = self._node.store.reader, self._outgoing
        for counted in [counted for counted in self._counts.all if counted.last]:
            if counted.subject.startswith("ctl."):
                for note in await reader.notes(FORWARD, after=counted.last - 1, limit=1):
                    yield outgoing.forward(note, counted.count)
            elif event := await reader.event(counted.last):
                yield outgoing.event(event, counted.count)
        if self._sent.position:
            for bundle in await reader.receipts(after=self._sent.position - 1, limit=1):
                yield await outgoing.bundle(bundle)

    async def _asked(self, ask: Ask) -> AsyncIterator[Message]:
        outgoing, number = self._outgoing, 0
        if ask.subject.startswith("evt."):
            async for event in self._events(after=0, last=self._sent.n, type=ask.subject.split(".", 3)[-1]):
                if outgoing.subject(event) != ask.subject:
                    continue
                number += 1
                if number > ask.behind:
                    yield outgoing.event(event, number)
        elif ask.subject.startswith("ctl."):
            async for note in self._forwards(after=0, last=self._sent.forward):
                if outgoing.forward_subject(note) != ask.subject:
                    continue
                number += 1
                if number > ask.behind:
                    yield outgoing.forward(note, number)
        elif ask.events:
            async for message in self._named(set(ask.events)):
                yield message
        else:
            async for bundle in self._bundles(after=ask.behind, last=self._sent.position):
                yield await outgoing.bundle(bundle)

    async def _named(self, wanted: set[str]) -> AsyncIterator[Message]:
        outgoing, counted, wire = self._outgoing, Counter[str](), self._node.numbers.identity.wire
        async for event in self._events(after=0, last=self._sent.n):
            counted[outgoing.subject(event)] += 1
            if wire(event.n) in wanted:
                yield outgoing.event(event, counted[outgoing.subject(event)])

    async def _bundles(self, *, after: int, last: int) -> AsyncIterator[Bundle]:
        while page := await self._node.store.reader.receipts(after=after, limit=BUNDLES_AT_ONCE):
            for bundle in page:
                if bundle.position > last:
                    return
                yield bundle
            after = page[-1].position


def _up_to(bundles: Sequence[Bundle], n: int) -> list[Bundle]:
    """The first bundles that speak of no event behind `n`."""
    found: list[Bundle] = []
    for bundle in bundles:
        if any(max((receipt.event, *(out for out, _ in receipt.outputs))) > n for receipt in bundle.receipts):
            break
        found.append(bundle)
    return found

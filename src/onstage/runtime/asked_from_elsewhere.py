"""What other stores ask of this one: requests from outside, wants of their answers, and cancels.

Theory of operation. Each comes at the control subject of a service, counted and in order, and may come twice. A request
is admitted at the door by its identity. A want is noted until its answer is durable, and forgotten in the commit that
sends the answer. A cancel that finds its request acts at once; one that has overtaken it is noted and dooms the request
in the very commit that admits it: marked, and never run.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

from onstage.core.commit import Note, Notes
from onstage.errors import StoreUnavailable, UsageError
from onstage.events.answer import ANSWER_PREFIX, Answer, answer_type
from onstage.events.binding import to_headers
from onstage.events.envelope import Envelope
from onstage.ports.store import Refused
from onstage.runtime import cancelling
from onstage.runtime.errand import ANSWERED, CANCEL, ERRAND, WANT, decode_want, number_of
from onstage.runtime.wire import identity_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.runtime.asking_elsewhere import AskingElsewhere
    from onstage.runtime.emission import Emission
    from onstage.runtime.errand import Send, Want
    from onstage.runtime.node import Node

__all__ = ["AHEAD", "WANTED", "AskedFromElsewhere", "identity_of_request"]

WANTED: Final = "wanted"
"""The topic of the wants whose answers are not sent yet."""
AHEAD: Final = "cancelled ahead"
"""The topic of cancels that came before what they cancel."""
PAGE: Final = 1_000
CANCELS_MAX: Final = 20
"""So often a cancel is tried against a run that begins at the same moment."""
_NAME_DIGITS: Final = 32
_SOURCE: Final = "//onstage/answer"

log = logging.getLogger("onstage.exchange")


@final
class AskedFromElsewhere:
    """The errands that one node gets."""

    def __init__(self, node: Node, send: Send, asking: AskingElsewhere) -> None:
        """For this node; `load` learns what its store knows. Answers that come back are for `asking`."""
        self._node = node
        self._send = send
        self._asking = asking
        self.lock = asyncio.Lock()
        """Held while events are taken in: a start that comes then finds its cancel, or is found by it."""
        self._ahead: set[str] = set()
        self._pending: dict[str, list[Want]] = {}

    async def load(self) -> None:
        """Learn the cancels that came ahead."""
        after = -1
        while page := await self._node.store.reader.notes(AHEAD, after=after, limit=PAGE):
            self._ahead |= {note.body.decode() for note in page}
            after = page[-1].number

    async def start(self) -> None:
        """Go on with the wants of an earlier life."""
        after = -1
        while page := await self._node.store.reader.notes(WANTED, after=after, limit=PAGE):
            for note in page:
                await self._serve(decode_want(note.body))
            after = page[-1].number

    async def find(self, name: str) -> int | None:
        """The number of the request with this name or public id, None if it is not here."""
        own = self._node.numbers.identity.local(name)
        if own is not None:
            return own
        identity = identity_of_request(name)
        found = (await self._node.store.reader.doors((identity,))).get(identity)
        return None if found is None else found[0]

    # Taking.

    async def take(self, headers: Mapping[str, str], data: bytes) -> None:
        """Do an errand; it is durable once a commit that is appended behind it is."""
        match headers[ERRAND]:
            case kind if kind == WANT:
                want = decode_want(data)
                self._node.append_notes(Notes([Note(WANTED, _number(want), data)]))
                await self._serve(want)
            case kind if kind == CANCEL:
                await self._cancel(data.decode())
            case kind if kind == ANSWERED:
                await self._asking.arrived(headers["ce-id"], data)
            case kind:
                log.warning("an errand of an unknown kind was passed over: %s", kind[:20])

    async def came(self, name: str) -> None:
        """A request with this name has been admitted: its answer may be wanted."""
        for want in self._pending.pop(name, ()):
            await self._serve(want)

    # Wants.

    async def _serve(self, want: Want) -> None:
        n = await self.find(want.name)
        if n is None:
            pending = self._pending.setdefault(want.name, [])
            if want not in pending:
                pending.append(want)
            return
        self._node.spawn(self._bring(want, n))

    async def _bring(self, want: Want, n: int) -> None:
        node, identity = self._node, identity_of_request(want.name)
        stored = await node.store.reader.event(n)
        assert stored is not None, "an identity at the door is written with its event"
        _, payload = (await node.store.reader.doors((identity,))).get(identity, (n, b""))
        if want.payload and payload and want.payload != payload:
            failure = ("refused", "its id names a request with another payload")
            answer = answer_type(stored.type).encode(Answer(node.numbers.identity.wire(n), failure=failure))
        else:
            try:
                found = await node.mailbox.replies.answer(n, None)
            except StoreUnavailable:
                return  # the node stops: the next life goes on
            assert found is not None, "it waits for ever"
            answer = found.data
        said = Envelope(id=want.name, source=_SOURCE, type=f"{ANSWER_PREFIX}{stored.type}", data=answer)
        headers, number = to_headers(said) | {ERRAND: ANSWERED}, _number(want)
        self._send(want.service, headers, answer, dropped=[(WANTED, number, number)])

    # Cancels.

    async def _cancel(self, name: str) -> None:
        async with self.lock:
            await self._node.settle_window()
            n = await self.find(name)
            if n is None:
                self._node.append_notes(Notes([Note(AHEAD, number_of(name), name.encode())]))
                self._ahead.add(name)
                return
        for _ in range(CANCELS_MAX):
            try:
                log.info("asked from elsewhere: %s", await cancelling.control(self._node, "cancel", n))
            except Refused:
                continue  # its run has begun at this very moment
            except (UsageError, LookupError) as error:
                log.info("a cancel from elsewhere came to nothing: %s", error)
            return

    def doomed(self, emission: Emission, name: str) -> Notes | None:
        """What the commit that admits this request notes if a cancel has overtaken it: what it begins never runs."""
        deliveries = [each for each in emission.deliveries if each.reaction.responding is not None]
        if name not in self._ahead or not deliveries:
            return None
        self._ahead.discard(name)
        for delivery in deliveries:
            # As if it were taken up after a restart: the driver reads that it never began, and ends it.
            delivery.cancelled = delivery.resumed = True
            delivery.data = None
        number = number_of(name)
        return Notes(self._node.marks.noted(each.id for each in deliveries), [(AHEAD, number, number)])


def identity_of_request(name: str) -> bytes:
    """Under which identity a request is known at the door: its name is that, or its public id in another store."""
    try:
        return bytes.fromhex(name) if len(name) == _NAME_DIGITS else identity_of("event", name)
    except ValueError:
        return identity_of("event", name)


def _number(want: Want) -> int:
    return number_of(f"{want.name} {want.service}")

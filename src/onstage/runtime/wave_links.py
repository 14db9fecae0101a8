"""The edges of one process between this store and others, while it is undone: what was asked, and what was answered.

Theory of operation. An edge that leads elsewhere is asked for once: the message goes into the outbox in the commit that
notes it. The note is filled in when the answer has come. An edge that comes from elsewhere is noted when it is asked
for; the commit that sends the answer says so in the note. So a part that is built anew from its rows says what is not
answered yet, and the notes tell which messages there are already. What is to be answered stands in a list of its own:
a part that has come to its end may be asked for another edge, and then be built anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Note
from onstage.core.wave import Edge
from onstage.runtime.errand import number_of
from onstage.runtime.wave_mail import WAVE, CancelEdge, EdgeUndone, encode_letter, kind_of
from onstage.runtime.wire import identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.core.undoing import Undoing
    from onstage.core.wave import Wave
    from onstage.ports.store import EventView, Reader
    from onstage.runtime.node import Node
    from onstage.runtime.wave_mail import Letter

__all__ = [
    "AskedEdge",
    "WaveLinks",
    "asked_notes",
    "asked_topic",
    "asks_topic",
    "decode_asked",
    "filled_in",
    "unanswered",
]

PAGE: Final = 1000
TO_ANSWER: Final = "undo to answer"
"""The topic of edges that others have asked for and that are not answered; each note has the number of the process."""
_WAIT: Final = "/wait"


@final
class AskedEdge(msgspec.Struct, frozen=True, array_like=True):
    """An edge that another store has asked for: its answer is for the service `by`, and is on its way or not."""

    event: str
    handler: str
    waits: bool
    by: str
    answered: bool = False


@final
class _AskingEdge(msgspec.Struct, frozen=True, array_like=True):
    """An edge that this store has asked for; None if it is not answered."""

    event: str
    handler: str
    waits: bool
    residue: tuple[str, ...] | None = None
    did: bool = False


_ENCODE: Final = msgspec.msgpack.Encoder().encode
decode_asked: Final = msgspec.msgpack.Decoder(AskedEdge).decode
_DECODE_ASKING: Final = msgspec.msgpack.Decoder(_AskingEdge).decode


def asked_topic(process: int) -> str:
    """The topic of the edges of a process that others have asked for."""
    return f"undo asked {process}"


def asks_topic(process: int) -> str:
    """The topic of the edges of a process that this store has asked for elsewhere."""
    return f"undo asks {process}"


def _number(event: str, handler: str, *, waits: bool) -> int:
    return number_of(f"{event} {handler}{_WAIT if waits else ''}")


def asked_notes(process: int, edge: AskedEdge) -> list[Note]:
    """That another store has asked for an edge."""
    number = _number(edge.event, edge.handler, waits=edge.waits)
    return [Note(asked_topic(process), number, _ENCODE(edge)), Note(TO_ANSWER, number, _ENCODE(process))]


async def unanswered(reader: Reader) -> list[int]:
    """The processes of which others have asked for edges that are not answered."""
    found: dict[int, None] = {}
    after = -1
    while page := await reader.notes(TO_ANSWER, after=after, limit=PAGE):
        found |= dict.fromkeys(msgspec.msgpack.decode(note.body, type=int) for note in page)
        after = page[-1].number
    return list(found)


def filled_in(process: int, undone: EdgeUndone) -> Note:
    """That an edge which this store has asked for is answered."""
    asking = _AskingEdge(undone.event, undone.handler, undone.waits, undone.residue, undone.did)
    return Note(asks_topic(process), _number(undone.event, undone.handler, waits=undone.waits), _ENCODE(asking))


@final
class WaveLinks:
    """The edges between one wave's part and the others. `news` says that something has come from elsewhere."""

    def __init__(self, node: Node, process: int, process_id: str, why: Undoing) -> None:
        """For a process with this public id; `why` says which outcome decided, and how the process is declared."""
        self._node = node
        self._process = process
        self._process_id = process_id
        self._why = why
        self._asked: dict[Edge, AskedEdge] = {}
        self._fed: set[int] = set()
        self._sent: set[int] = set()
        self._services: dict[str, str] = {}
        self.has_news = True
        self.residue: dict[str, None] = {}
        self.did = False

    @property
    def foreign_id(self) -> str | None:
        """The public id of the process, if another store decides about it."""
        return None if self._node.numbers.identity.local(self._process_id) is not None else self._process_id

    def news(self) -> None:
        """A note of this process has become durable."""
        self.has_news = True

    @staticmethod
    def is_here(handler: object) -> bool:
        """Whether a handler runs in this part: those are known by number, others by name."""
        return isinstance(handler, int)

    async def settle(self) -> bool:
        """Before anything is read: what was appended before the news is on disk then. Whether there are any."""
        if not self.has_news:
            return False
        self.has_news = False
        await self._node.settle_window()
        return True

    # Edges that lead elsewhere.

    async def elsewhere(self, event: EventView) -> list[Edge]:
        """The edges of one of this store's events that lead to other stores, as the topology says it bears."""
        exchange = self._node.exchange
        assert exchange is not None, "only where services run apart"
        topology = await exchange.registry.at(event.topology) if event.topology else None
        edges: list[Edge] = []
        for name in sorted(topology.obligations(event.type)) if topology is not None else ():
            handler = name.removesuffix(_WAIT)
            service = topology.services.get(handler) if topology is not None else None
            if service is not None and service not in self._node.hosted:
                self._services[handler] = service
                edges.append(Edge(event.n, handler, waits=name != handler))
        return edges

    def cancel(self, edge: Edge) -> None:
        """Ask for an edge, unless that was done."""
        event, handler = self._node.numbers.identity.wire(int(str(edge.event))), str(edge.handler)
        number = _number(event, handler, waits=edge.waits)
        if number in self._sent:
            return
        self._sent.add(number)
        by, why = min(self._node.hosted), self._why
        letter = CancelEdge(
            self._process_id, event, handler, edge.waits, by, why.reason, why.since, why.outcome, why.declared
        )
        note = Note(asks_topic(self._process), number, _ENCODE(_AskingEdge(event, handler, edge.waits)))
        self._send(self._services[handler], letter, [note])

    def answer(self, edge: Edge, residue: Sequence[str], *, did: bool) -> None:
        """Say that an edge is undone, unless that was done."""
        asked = self._asked.get(edge)
        if asked is None or asked.answered:
            return
        self._asked[edge] = done = msgspec.structs.replace(asked, answered=True)
        letter = EdgeUndone(self._process_id, done.event, done.handler, done.waits, tuple(residue), did)
        kept, listed = asked_notes(self._process, done)
        self._send(done.by, letter, [kept], [(TO_ANSWER, listed.number, listed.number)])

    def _send(
        self, service: str, letter: Letter, kept: Sequence[Note], dropped: Sequence[tuple[str, int, int]] = ()
    ) -> None:
        exchange = self._node.exchange
        assert exchange is not None, "only where services run apart"
        exchange.send(service, {WAVE: kind_of(letter)}, encode_letter(letter), kept, dropped=dropped)

    # What has come.

    async def feed(self, wave: Wave) -> None:
        """Tell the wave all that is noted and that it does not know; every reaction here is known to it."""
        local = self._node.numbers.identity.local
        for note in await self._notes(asks_topic(self._process)):
            asking = _DECODE_ASKING(note.body)
            self._sent.add(note.number)
            if asking.residue is None or note.number in self._fed:
                continue
            self._fed.add(note.number)
            self.did = self.did or asking.did
            self.residue |= dict.fromkeys(asking.residue)
            wave.answered(Edge(local(asking.event), asking.handler, asking.waits), residue=bool(asking.residue))
        for note in await self._notes(asked_topic(self._process)):
            if note.number in self._fed:
                continue
            self._fed.add(note.number)
            asked = decode_asked(note.body)
            if not asked.answered:
                await self._feed_asked(wave, asked)

    async def _feed_asked(self, wave: Wave, asked: AskedEdge) -> None:
        number = self._number_of(asked.handler)
        edge = Edge(await self._event(asked.event), asked.handler if number is None else number, asked.waits)
        self._asked[edge] = asked
        if number is None:  # nobody here has ever had that name: nothing has begun, and nothing will
            self.answer(edge, (), did=False)
            return
        wave.cancel(edge)

    async def _event(self, wire: str) -> int | str:
        identity = identity_of("event", wire)
        found = await self._node.store.reader.doors((identity,))
        return found[identity][0] if identity in found else wire

    def _number_of(self, name: str) -> int | None:
        for reaction in self._node.reactions.values():
            if not reaction.generation and (name == reaction.name or name in reaction.handler.was):
                return reaction.number
        return next((number for number, each in self._node.handler_names.items() if each == name), None)

    async def _notes(self, topic: str) -> list[Note]:
        found: list[Note] = []
        after = -1
        while page := await self._node.store.reader.notes(topic, after=after, limit=PAGE):
            found += page
            after = page[-1].number
        return found

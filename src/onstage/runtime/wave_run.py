"""One wave under way: it reads what is recorded of a process, asks `onstage.core.wave` what follows, and does that.

It knows nothing that is not on disk, and has no rows of its own: whatever dies, the next life reads the same and goes
on. What it does are commits that a second one of the same kind would not follow: a stop settles an execution, an undo
is an event of which the log tells whether it was emitted.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import WaveRow, event_of, handler_of
from onstage.core.segments import segments_of
from onstage.core.undoing import (
    COMPENSATED,
    COMPENSATING,
    NOTHING,
    RESIDUE,
    UNDO,
    Undoing,
    decode_undoing,
    encode_undoing,
)
from onstage.core.wave import Answer, Cancel, Edge, Node, Part, Undo, Wave
from onstage.errors import BrokerUnavailable
from onstage.events.process_changed import COMPENSATED_TYPE, ProcessCompensated
from onstage.events.receipt import Status
from onstage.events.undoing_told import UNDOING
from onstage.runtime.cancelling import end_unbegun, has_not_begun
from onstage.runtime.emission import Emission
from onstage.runtime.residue import drop_if_given_up
from onstage.runtime.undo_runs import Order, decode_order
from onstage.runtime.wave_links import WaveLinks
from onstage.runtime.wire import follows, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.ports.store import EventView, ExecutionView, Stored
    from onstage.runtime.node import Node as RunningNode

__all__ = ["WaveRun"]

PAGE: Final = 1000
AGAIN_S: Final = 1.0
"""What failed is tried again after so long."""
log = logging.getLogger("onstage.wave")


@final
class WaveRun:
    """The wave of one process on one node. `poke` it whenever something of the process has become durable."""

    def __init__(self, node: RunningNode, row: WaveRow, exempt: set[int], outcome: str = "") -> None:
        """Begin, or go on: `row` is the decision, `exempt` holds the events that are left alone, and grows.

        Where services run apart these are the ones that follow from the `outcome` with this public id.
        """
        self._node = node
        self._row = row
        self._exempt = exempt
        self._outcome = outcome
        self._process = row.process
        self._links: WaveLinks | None = None
        self._wave = Wave()
        self._last_event = 0
        self._last_execution = 0
        self._known: set[int] = set()
        self._open: set[int] = set()
        self._caused: dict[int, list[int]] = {}  # events by the execution that emitted them
        self._types: dict[int, str] = {}
        self._heard_by: dict[int, list[int]] = {}  # handlers by event
        self._ordered: dict[Node, int] = {}  # the events that have it undone
        self._orders: dict[int, Node] = {}
        self._residue: list[str] = []
        self._elsewhere: dict[int, list[Edge]] = {}  # edges that lead to other stores, by event
        self._roots: list[int] = []
        self._is_told = False
        self._wake = asyncio.Event()

    def poke(self) -> None:
        """Something of the process has changed."""
        self._wake.set()

    def news(self) -> None:
        """Another store has said something of it, and that is durable."""
        if self._links is not None:
            self._links.news()
        self.poke()

    @property
    def has_news(self) -> bool:
        """Whether another store has said something that was not looked at."""
        return self._links is not None and self._links.has_news

    async def run(self) -> None:
        """Go on until the process is undone, or this part of it."""
        while True:
            self._wake.clear()
            try:
                if await self._look():
                    return
            except BrokerUnavailable as error:
                log.debug("undoing a process waits for the broker: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            except Exception:
                log.exception("undoing a process failed; it is tried again in %s s", AGAIN_S)
                await asyncio.sleep(AGAIN_S)
                continue
            await self._wake.wait()

    async def _look(self) -> bool:
        """Read what is new and do what follows; whether the process is undone."""
        if self._node.exchange is not None and self._links is None:
            self._links = await self._linked()
        has_news = self._links is not None and await self._links.settle()
        looked_at = [await self._stored(x) for x in sorted(self._open)]
        ended = [stored for stored in looked_at if _has_ended(stored)]
        found = await self._read()
        for stored in ended:
            self._ended(stored)
        if self._links is not None:
            self._wave.root(edge for n in self._roots for edge in self._elsewhere.get(n, ()))
            if has_news:
                await self._links.feed(self._wave)
                self._residue += [each for each in self._links.residue if each not in self._residue]
        self._act()
        found = await self._give_up(looked_at) or found
        if found:
            self._wake.set()  # some of them have ended already
            return False
        await self._stop_all()
        if self._open or not self._wave.is_over or self.has_news:
            return False
        view = await self._node.store.reader.process(self._process)
        assert view is not None, "what is undone is stored"
        if view.open:  # of an event that had been read: a handler that has subscribed since
            self._last_execution = 0
            return False
        await self._finish()
        return True

    async def _linked(self) -> WaveLinks:
        view = await self._node.store.reader.process(self._process)
        assert view is not None, "what is undone is stored"
        undoing = decode_undoing(self._row.body)
        declared = view.declared or undoing.declared
        why = msgspec.structs.replace(undoing, outcome=self._outcome, declared=declared)
        self._wave = Wave(WaveLinks.is_here)
        return WaveLinks(self._node, self._process, view.wire_id, why)

    # What is recorded.

    async def _stored(self, execution: int) -> Stored:
        stored = await self._node.store.reader.execution(execution)
        assert stored is not None, "an execution stays"
        return stored

    async def _read(self) -> bool:
        """Read new events, then new executions, which are of these or earlier ones; whether there were any."""
        reader = self._node.store.reader
        while page := await reader.events(process=self._process, after=self._last_event, limit=PAGE):
            for event in page:
                self._note(event)
                if self._links is not None:
                    await self._note_apart(self._links, event)
            self._last_event = page[-1].n
        found = False
        while page_x := await reader.executions(process=self._process, after=self._last_execution, limit=PAGE):
            for view in page_x:
                found = self._begun(view) or found
            self._last_execution = page_x[-1].id
        return found

    def _note(self, event: EventView) -> None:
        if event.type == UNDO:
            order = decode_order(event.data)
            node = Node(event_of(order.execution), handler_of(order.execution), order.segment)
            self._ordered[node], self._orders[event.n] = event.n, node
            return
        if event.type == UNDOING:
            self._is_told = True
            return
        self._types[event.n] = event.type
        if self._outcome and self._outcome in follows(event.extra):
            self._exempt.add(event.n)
        if event.n in self._exempt:
            return
        self._caused.setdefault(event.cause, []).append(event.n)

    async def _note_apart(self, links: WaveLinks, event: EventView) -> None:
        """Which edges an event has that lead to other stores, if it is of this one."""
        if event.type in (UNDO, UNDOING) or event.n in self._exempt or names_of(event)[1] is not None:
            return
        self._elsewhere[event.n] = await links.elsewhere(event)
        if not event.cause:
            self._roots.append(event.n)

    def _begun(self, view: ExecutionView) -> bool:
        if view.id in self._known or not view.gating:
            return False
        self._known.add(view.id)
        self._open.add(view.id)
        event = event_of(view.id)
        if view.handler != UNDO and event not in self._exempt:
            self._heard_by.setdefault(event, []).append(handler_of(view.id))
            self._wave.starts(event, handler_of(view.id))
        return True

    def _ended(self, stored: Stored) -> None:
        view = stored.execution
        event, status = event_of(view.id), Status(view.status)
        self._open.discard(view.id)
        if view.handler == UNDO:
            given_up = status is not Status.DONE
            if given_up:
                first = (view.error or "").partition("\n")[0]
                self._residue.append(f"{self._node.handler_names[int(str(self._orders[event].handler))]}: {first}")
            self._wave.undone(self._orders[event], residue=given_up)
        elif event not in self._exempt:
            self._wave.ended(event, handler_of(view.id), self._parts(stored))

    def _parts(self, stored: Stored) -> list[Part]:
        segments, execution = segments_of(stored.entries), stored.execution.id
        said = {n for segment in segments for n in segment.outputs}
        outputs = [list(segment.outputs) for segment in segments]
        outputs[-1] += [n for n in self._caused.get(execution, ()) if n not in said]
        return [
            Part(segment.began_by or None, tuple(self._edges_of(own)), is_due=bool(segment.dues))
            for segment, own in zip(segments, outputs, strict=True)
        ]

    def _edges_of(self, events: Iterable[int]) -> Iterable[Edge]:
        return [edge for n in events if n in self._types and n not in self._exempt for edge in self._edges(n)]

    def _edges(self, n: int) -> list[Edge]:
        route = self._node.routes.get(self._types[n])
        waiters = () if route is None else route.waiters
        edges = [Edge(n, number) for number in self._heard_by.get(n, ())]
        edges += [Edge(n, reaction.number, waits=True) for reaction in waiters]
        return edges + self._elsewhere.get(n, [])

    # What follows.

    def _act(self) -> None:
        node, emission = self._node, Emission(self._node.numbers)
        if self._decides and not self._is_told:
            self._tell(emission, COMPENSATING, decode_undoing(self._row.body))
        for action in self._wave.take():
            match action:
                case Undo() if action.node not in self._ordered:
                    self._begin_undo(emission, action.node)
                case Cancel() if self._links is not None:
                    self._links.cancel(action.edge)
                case Answer() if self._links is not None:
                    self._links.answer(action.edge, self._residue, did=self._did)
                case _:
                    pass
        if not emission.events:
            return
        node.watch.reopened(self._process)
        node.append(emission.commit(node.epoch), emission)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()

    @property
    def _did(self) -> bool:
        """Whether anything was undone, here or in another store."""
        return bool(self._ordered) or (self._links is not None and self._links.did)

    def _begin_undo(self, emission: Emission, undone: Node) -> None:
        node, (event, handler, segment) = self._node, undone
        order = Order(int(str(event)) << 16 | int(str(handler)), segment)
        process_id = self._links.foreign_id if self._links is not None else None
        begin = node.waves.runs.begin
        self._ordered[undone] = begin(emission, order, self._process, node.clock.now_ms(), process_id)

    @property
    def _decides(self) -> bool:
        """Whether the whole process is undone from here, and others are to be told of it."""
        return self._links is not None and self._links.foreign_id is None

    def _tell(self, emission: Emission, state: str, said: Undoing) -> None:
        apart = self._node.waves.apart
        assert apart is not None, "only where services run apart"
        apart.told(emission, self._process, state, said)
        self._is_told = True

    async def _stop_all(self) -> None:
        """Stop what is open and not exempt; what runs sees by itself that it is to end."""
        ends = False
        for execution in sorted(self._open):
            if event_of(execution) in self._exempt or event_of(execution) in self._orders:
                continue
            stored = await self._stored(execution)
            if not _has_ended(stored):
                ends = await self._stop(stored) or ends
        if ends:
            self._wake.set()
            await self._node.settle_window()

    async def _stop(self, stored: Stored) -> bool:
        node, execution = self._node, stored.execution.id
        delivery = node.open.get(execution)
        if handler_of(execution) not in node.reactions or (delivery is not None and has_not_begun(node, stored)):
            await end_unbegun(node, stored, "undone", node.waves.why(self._process))
            return True
        if delivery is None:
            await node.recovery.take_up(execution)
        elif delivery.parked:
            node.nudge(delivery, 0)
            node.dispatcher.wake()
        return False

    async def _give_up(self, looked_at: Iterable[Stored]) -> bool:
        """Drop undos that were set aside, if the process is declared to go on without them; whether there were any."""
        undos = [stored for stored in looked_at if stored.event.n in self._orders]
        return any([await drop_if_given_up(self._node, stored) for stored in undos])

    async def _finish(self) -> None:
        node, row = self._node, self._row
        if row.state != COMPENSATING:
            return  # a part that had come to its end before, and was asked for more
        undoing = decode_undoing(row.body)
        said = msgspec.structs.replace(undoing, ended=node.clock.now_ms(), residue=tuple(self._residue))
        state = RESIDUE if self._residue else COMPENSATED
        is_all, emission = self._links is None or self._decides, Emission(node.numbers)
        if is_all and not self._did and not undoing.by_hand:
            state = NOTHING
        elif is_all and (route := node.routes.get(COMPENSATED_TYPE.name)) is not None and route.triggers:
            emission.emit(route, route.type.encode(await self._told(said)), None, now_ms=said.ended)
        if self._decides:
            self._tell(emission, state, said)
        commit = emission.commit(node.epoch)
        commit.waves = (WaveRow(row.process, row.version + 1, state, encode_undoing(said)),)
        position = node.append(commit, emission)
        node.dispatcher.wake()
        node.store.flush()
        await node.store.durable(position)

    async def _told(self, said: Undoing) -> ProcessCompensated:
        view = await self._node.store.reader.process(self._process)
        assert view is not None, "what is undone is stored"
        return ProcessCompensated(
            process=view.wire_id,
            declared=view.declared,
            key=view.key,
            number=0,
            at=datetime.fromtimestamp(said.ended / 1000, UTC),
            reason=said.reason,
            residue=said.residue,
        )


def _has_ended(stored: Stored) -> bool:
    return not Status(stored.execution.status).is_open

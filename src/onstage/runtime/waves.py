"""Which processes of a node are undone: who decides it, what then stops, and who carries it on.

Theory of operation. The decision is a row that the store writes once (`onstage.core.undoing`). From the moment at which
this node hears of it, in the very turn of the loop in which it becomes durable, nothing of the process begins: what has
not begun is settled as skipped, and what runs parks for ever at its next durable call that is not recorded. A `WaveRun`
does the rest. Exempt is the outcome that decided, and all that follows from it: who follows is told by the commits that
are appended, for they may run before the decision is on disk. Where services run apart each event says it of itself
(`WavesApart`, which also speaks with the other stores).

Where nothing is undone all this costs a look at an empty dictionary.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core import lifecycle
from onstage.core.commit import Commit, event_of
from onstage.core.lifecycle import Input
from onstage.core.undoing import COMPENSATING, PIVOTED, Undoing, decode_undoing, first_row
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.answering import failure_of
from onstage.runtime.call import active
from onstage.runtime.emission import Emission
from onstage.runtime.forking import refuse_if_any_forked
from onstage.runtime.frame import Park
from onstage.runtime.undo_runs import UndoRuns
from onstage.runtime.undoable import undoing_in
from onstage.runtime.wave_answers import as_a_whole, decided_before, has_ended, refuse_wrong_word
from onstage.runtime.wave_mail import PIVOT, REJECT
from onstage.runtime.wave_run import PAGE, WaveRun
from onstage.runtime.waves_apart import WavesApart

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from onstage.core.commit import NewEvent, WaveRow
    from onstage.ports.store import BatchOutcome, Opened
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = ["NO_WAVES", "Waves"]


@final
class _NoWaves:
    """Stands for the waves of a rehearsal: nothing is undone."""

    stopped: Mapping[int, set[int]] = MappingProxyType({})


NO_WAVES: Final = _NoWaves()


@final
class Waves:
    """The processes of one node that are undone, or were; `stopped` has the events of each that are exempt."""

    def __init__(self, node: Node) -> None:
        """For this node; `open` it with its store, `load` what that knows, and `begin` once handlers may run."""
        self._node = node
        self.stopped: dict[int, set[int]] = {}
        self._rows: dict[int, WaveRow] = {}  # of waves that are under way
        self._going: dict[int, WaveRun] = {}
        self._touched: dict[int, int] = {}  # the newest commit of those
        self._deciding: frozenset[int] = frozenset()
        self._candidates: dict[int, dict[int, int]] = {}  # what follows from outcomes that may decide: event, outcome
        self._learning: dict[int, list[NewEvent]] = {}  # what came while it is read what follows from an outcome
        self.undoing = undoing_in(node)
        self.is_watchful = False
        self.apart = None if node.exchange is None else WavesApart(node, node.exchange)

    def open(self, opened: Opened) -> None:
        """Take the numbers of the store."""
        self.runs = UndoRuns(opened, self._node.reactions)
        failing = {known for each in self._node.processes if each.name in self.undoing for known in each.failed}
        self._deciding = frozenset(opened.types[known.name, known.version] for known in failing)
        self.is_watchful = bool(self._deciding)
        if self.apart is not None:
            self.apart.open(opened)

    def adopt(self, deciding: Collection[str]) -> None:
        """Where services run apart: event types of these names may have processes undone that others declare."""
        routes = self._node.routes
        self._deciding |= {routes[name].type_id for name in deciding if name in routes}
        self.is_watchful = self.is_watchful or bool(self._deciding)

    async def load(self) -> None:
        """Learn what is undone, before anything runs."""
        after, reader = -1, self._node.store.reader
        is_whole = self._node.exchange is None  # else events of what has ended may still come from the log
        while page := await reader.waves(after=after, limit=PAGE, open_only=is_whole):
            for row in page:
                if row.state != PIVOTED:
                    await self._take_up(row)
            after = page[-1].process

    async def _take_up(self, row: WaveRow) -> None:
        self.is_watchful = True
        self.stopped[row.process] = await self._exempt(row) if row.state == COMPENSATING else set()
        if row.state == COMPENSATING:
            self._rows[row.process] = row
        if self.apart is not None:
            await self.apart.learn(row)

    async def _exempt(self, row: WaveRow) -> set[int]:
        decisive = decode_undoing(row.body).exempt
        if not decisive or self.apart is not None:
            return {decisive} if decisive else set()
        exempt, after = {decisive}, decisive
        while page := await self._node.store.reader.events(process=row.process, after=after, limit=PAGE):
            for event in page:
                if event_of(event.cause) in exempt:
                    exempt.add(event.n)
            after = page[-1].n
        return exempt

    async def recall(self, process: int) -> None:
        """Learn whether a process was undone in an earlier life: `stopped` knows of those of this life."""
        if process in self.stopped or process in self._learning:
            return
        rows = await self._node.store.reader.waves([process])
        if rows and rows[0].state not in (PIVOTED, COMPENSATING):
            self.is_watchful = True
            self.stopped.setdefault(process, set())

    def begin(self) -> None:
        """Go on with what was under way."""
        for row in tuple(self._rows.values()):
            self._carry_on(row)
        if self.apart is not None:
            self._node.spawn(self.apart.resume(decides=bool(self._deciding)))

    # What the node appends, and what has become durable.

    def appended(self, commit: Commit, position: int) -> None:
        """Follow what comes of outcomes that may decide, or have decided."""
        if self.apart is not None:
            touched = {commit.process, *(event.process for event in commit.events)}
            self._touched |= dict.fromkeys(touched & self._going.keys(), position)
            self.apart.appended(commit, position, self._deciding)
            return
        if not (self.stopped or self._candidates or self._learning):
            for event in commit.events:
                if event.type in self._deciding:
                    self._candidates[event.process] = {event.n: event.n}
            return
        if commit.process in self._going:
            self._touched[commit.process] = position
        for event in commit.events:
            cause, process = event_of(event.cause), event.process
            exempt = self.stopped.get(process)
            if process in self._learning:
                self._learning[process].append(event)
            elif exempt is not None:
                if event.cause and cause in exempt:
                    exempt.add(event.n)
            elif (following := self._candidates.get(process)) is not None and event.cause and cause in following:
                following[event.n] = following[cause]
            elif event.type in self._deciding:
                self._candidates.setdefault(process, {})[event.n] = event.n

    def stamp(self, commit: Commit, emission: Emission | None) -> None:
        """Where services run apart: a commit with events is about to be appended."""
        if self.is_watchful and self.apart is not None:
            self.apart.stamp(commit, emission, self._deciding)

    def batch(self, outcome: BatchOutcome) -> None:
        """A batch became durable: stop what it has decided, and let waves look at what it has changed."""
        for row in outcome.waves:
            self._heard(row)
        if self.stopped or self._learning:
            outcome.closed = [
                msgspec.structs.replace(each, outcome=None) if self._is_stopped(each.process) else each
                for each in outcome.closed
            ]
        for closed in outcome.closed:
            if not self._is_stopped(closed.process):
                self._candidates.pop(closed.process, None)
        for process in [each for each, position in self._touched.items() if position <= outcome.position]:
            del self._touched[process]
            if process in self._going:
                self._going[process].poke()
        if self.apart is not None:
            self.apart.batch(outcome.position)

    def _heard(self, row: WaveRow) -> None:
        if row.state == PIVOTED:
            return
        process = row.process
        self.is_watchful = True
        following = self._candidates.pop(process, {})
        if row.state != COMPENSATING:
            self.stopped.setdefault(process, set())
            self._going.pop(process, None)
            self._rows.pop(process, None)
            self._node.watch.undone(process)
            return
        undoing = decode_undoing(row.body)
        decisive = undoing.exempt
        self._node.watch.reopened(process)
        self._rows[process] = row
        if self.apart is not None:
            self.stopped[process] = {decisive} if decisive else set()
            self.apart.heard(process, undoing)
        elif decisive and decisive not in following:
            self._learning[process] = []
            self._node.spawn(self._learn(row))
            return
        else:
            self.stopped[process] = {n for n, outcome in following.items() if outcome == decisive}
        if self._node.dispatches:
            self._carry_on(row)

    async def _learn(self, row: WaveRow) -> None:
        """Read what follows from an outcome of an earlier life, and only then stop anything."""
        await self._node.settle_window()
        exempt = await self._exempt(row)
        exempt_since = self._learning.pop(row.process)
        for event in exempt_since:
            if event.cause and event_of(event.cause) in exempt:
                exempt.add(event.n)
        self.stopped[row.process] = exempt
        if self._node.dispatches:
            self._carry_on(row)

    def _is_stopped(self, process: int) -> bool:
        return process in self.stopped or process in self._learning

    def _carry_on(self, row: WaveRow) -> None:
        outcome = "" if self.apart is None else self.apart.outcomes.get(row.process, "")
        run = WaveRun(self._node, row, self.stopped[row.process], outcome)
        self._going[row.process] = run
        self._node.spawn(self._run(run, row.process))

    async def _run(self, run: WaveRun, process: int) -> None:
        await run.run()
        if self._going.get(process) is run:
            del self._going[process]
        if run.has_news:  # of another store, while it came to its end
            await self.news(process)

    async def news(self, process: int) -> None:
        """Another store has said something of the undoing of a process, and it is durable."""
        run = self._going.get(process)
        if run is None and process in self.stopped and self._node.dispatches:
            rows = await self._node.store.reader.waves([process])
            run = self._going.get(process)
            if run is None and rows:
                self._carry_on(rows[0])
        if run is not None:
            run.news()

    async def heard_from_elsewhere(self, headers: Mapping[str, str], data: bytes) -> None:
        """Another store says something of the undoing of a process."""
        assert self.apart is not None, "messages come only where services run apart"
        await self.apart.take(headers, data)

    # What stops.

    def stops(self, delivery: Delivery) -> bool:
        """Whether this must not begin, or go on: its process is undone, and it is not exempt.

        A batch of events is left alone, for they may be of several processes; a rejection in it undoes its own steps.
        """
        exempt = self.stopped.get(delivery.process)
        if exempt is None or not delivery.gating or delivery.n in exempt:
            return False
        if delivery.extra is not None and self.apart is not None and self.apart.is_exempt(delivery):
            return False
        return not _is_batch(delivery) and delivery.reaction is not self.runs.reaction

    def why(self, process: int) -> str:
        """What is said of an execution that was stopped."""
        row = self._rows.get(process)
        return f"its process is undone: {decode_undoing(row.body).reason}" if row else "its process was undone"

    @staticmethod
    def parking() -> Park:
        """What unwinds a handler that is to end where it is."""
        park = Park()
        park.stopped = True
        return park

    def settle_unbegun(self, frame: Frame) -> None:
        """Settle what must not begin, as skipped."""
        status, why = lifecycle.advance(Status.READY, Input.SKIP), self.why(frame.delivery.process)
        frame.driver.commit(frame, status, failure_of(frame, Input.CANCEL, why), error=why)
        frame.closed = True
        self._node.settled(frame, status)

    # Who decides.

    async def takes_over(self, frame: Frame) -> bool:
        """An execution has rejected: whether its process is undone for it, or is already, with its own steps.

        What a handler rejects that answers a request is the business of whoever asked.
        """
        delivery, entry = frame.delivery, frame.execution.rejected
        if delivery.process in self.stopped:
            return self.stops(delivery)
        if not (self.undoing or self._deciding) or not delivery.gating or entry is None or entry.cancelled:
            return False
        if frame.reaction.responding is not None or _is_batch(delivery):
            return False
        with active(frame):
            frame.driver.save(frame)
            await frame.barrier()
            reason = f"{frame.reaction.name} rejected: {entry.reason}"
            if self.apart is not None and delivery.names is not None and not self.apart.is_own(delivery.names[0]):
                rows = await self.apart.asked_owner(frame, REJECT, reason)
                return bool(rows) and rows[0].state != PIVOTED and self.stops(delivery)
            await self.reject(delivery.process, reason)
        return self.stops(delivery)

    async def reject(self, process: int, reason: str) -> None:
        """An execution has rejected: have its process undone, if that is declared so. The decision is durable then."""
        view = await self._node.store.reader.process(process)
        if view is None or view.declared not in self.undoing:
            return
        if view.undoable or self.apart is not None:  # otherwise what can be undone later on finds that it has rejected
            await self._decide(first_row(process, COMPENSATING, Undoing(reason, self._node.clock.now_ms())))

    async def pivot(self, frame: Frame, step: str) -> None:
        """Ask that the process of an execution be not undone any more; parks for ever if it is undone already.

        What follows from an outcome that has decided is beyond that, and may go on.
        """
        delivery = frame.delivery
        if not delivery.gating:
            return
        reason = f"{frame.reaction.name} went on with {step}"
        if self.apart is not None and delivery.names is not None and not self.apart.is_own(delivery.names[0]):
            stored = await self.apart.asked_owner(frame, PIVOT, reason)
        else:
            stored = await self.grant(delivery.process, reason)
        if stored and stored[0].state != PIVOTED and not await self._is_exempt(delivery):
            await frame.park(self.parking())

    async def grant(self, process: int, reason: str) -> list[WaveRow]:
        """Ask that a process be not undone any more; answers the row that decided otherwise, if one did."""
        node = self._node
        row = first_row(process, PIVOTED, Undoing(reason, node.clock.now_ms()))
        stored = await node.store.reader.waves([process])
        if not stored and await self._decide(row):
            return []
        return stored or await node.store.reader.waves([process])

    async def _is_exempt(self, delivery: Delivery) -> bool:
        await self._node.settle_window()  # the decision is heard with its batch
        return not self.stops(delivery)

    async def request(self, process: int, reason: str, *, completed: bool = False) -> str:
        """Have a process undone; the decision is durable when this returns. `completed`: also one that has an outcome.

        Raises UsageError if that cannot be, LookupError if there is no such process.
        """
        node = self._node
        await node.settle_window()
        view = await node.store.reader.process(process)
        if view is None:
            raise LookupError(f"there is no process {process}")
        if self.apart is not None and not self.apart.is_own(view.wire_id):
            return await self.apart.send_on(view.wire_id, reason, completed=completed)
        stored = await node.store.reader.waves([process])
        if not stored:
            if self.apart is not None:
                view = await as_a_whole(node, view, completed=completed)
            refuse_wrong_word(view, completed=completed)
            await refuse_if_any_forked(node, process)
            row = first_row(process, COMPENSATING, Undoing(reason, node.clock.now_ms(), by_hand=True))
            if await self._decide(row, undecided=0 if completed else process):
                return f"process {view.wire_id} is being undone"
            stored = await node.store.reader.waves([process])
        if not stored:
            raise has_ended(view)
        return decided_before(view, stored[0])

    async def _decide(self, row: WaveRow, undecided: int = 0) -> bool:
        node, emission = self._node, Emission(self._node.numbers)
        if self.apart is not None and row.state == PIVOTED:
            self.apart.told(emission, row.process, PIVOTED, decode_undoing(row.body))
        commit = emission.commit(node.epoch)
        commit.waves, commit.undecided = (row,), undecided
        position = node.append(commit, emission)
        node.store.flush()
        try:
            await node.store.durable(position)
        except Refused:
            return False
        return True


def _is_batch(delivery: Delivery) -> bool:
    return delivery.turn is not None and bool(delivery.turn.members)

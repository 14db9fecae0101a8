"""Watching processes: verdicts on request, and who waits for a final one."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, final

from onstage.contracts.manifest import from_stored
from onstage.core.commit import event_of, execution_id
from onstage.core.undoing import NOTHING, PIVOTED, decode_undoing
from onstage.events.answer import ANSWER_PREFIX, is_answer
from onstage.events.codec import DecodeFailed
from onstage.events.delayed import LATER, decode_delayed
from onstage.events.receipt import Status
from onstage.observe.progress import NO_NODE, decode_progress, owed_by
from onstage.observe.verdict import (
    Blocker,
    LastEvent,
    OpenObligation,
    Overdue,
    Undone,
    Verdict,
    Violated,
    judge,
    overdue_too,
    resolution,
    undone_too,
    violated_too,
)
from onstage.runtime.batching import members_in
from onstage.runtime.pauses import pause_of, pauses_in
from onstage.runtime.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.ports.store import BatchOutcome, Closed, EventView, ExecutionView, Reader, Store

__all__ = ["Watch", "holder_above", "kept_type", "verdict_of"]

OBLIGATIONS_SHOWN_MAX: Final = 100
PAGE: Final = 100
EVENTS_LOOKED_AT_MAX: Final = 1000
BATCHES_LOOKED_AT_MAX: Final = 20
RECENT_PROCESSES_MAX: Final = 4_096
EARLY_S: Final = 0.001
"""A loop may fire its timers this much early: whoever looks at the clock then must not wait for nothing again."""

log = logging.getLogger("onstage.ledger")


async def verdict_of(reader: Reader, process: int, *, live: frozenset[str] | None = None) -> Verdict | None:
    """The verdict on a process as it is on disk; None for a process that does not exist.

    `live` names the handlers that have a node, None if that is not known.
    """
    verdict = await _verdict(reader, process, live)
    return None if verdict is None else violated_too(verdict, await _violated_in(reader, process))


async def _violated_in(reader: Reader, process: int) -> list[Violated]:
    """The rules that a process broke, as far as its monitor has come."""
    rows = await reader.progress((process,))
    broken = decode_progress(rows[0].body).broken if rows else []
    return [Violated(each.rule, datetime.fromtimestamp(each.at / 1000, UTC), str(each)) for each in broken]


async def _verdict(reader: Reader, process: int, live: frozenset[str] | None) -> Verdict | None:
    while True:
        row = await reader.process(process)
        if row is None:
            return None
        if (wave := await wave_of(reader, process)) is not None:
            is_whole = not row.open and row.ended is not None
            return undone_too(wave, await _open_obligations(reader, process, live), is_whole=is_whole)
        if row.open == 0 and row.ended is None:
            elsewhere = Verdict("running", row.outcome, ("parts of it are in other services, or on their way",))
            return overdue_too(elsewhere, await overdue_in(reader, process))
        if row.open == 0 and row.outcome is not None:
            return judge((), row.outcome)
        if row.open == 0:
            return judge((), None, await _last_events(reader, process))
        obligations = await _open_obligations(reader, process, live)
        if obligations:
            return overdue_too(judge(obligations, row.outcome), await overdue_in(reader, process))
        # The process ended between the two readings: the row says by now how.


async def wave_of(reader: Reader, process: int) -> Undone | None:
    """What is said of the undoing of a process; None if it is not, and was not, undone."""
    rows = await reader.waves((process,))
    if not rows or rows[0].state in (PIVOTED, NOTHING):
        return None
    undoing = decode_undoing(rows[0].body)
    resolved = resolution(undoing.resolved, undoing.resolved_by, undoing.note) if undoing.resolved else ""
    return Undone(rows[0].state, undoing.reason, undoing.since, undoing.residue, resolved)


async def overdue_in(reader: Reader, process: int) -> list[Overdue]:
    """What is overdue in a process, as its monitor last said."""
    rows = await reader.progress((process,))
    progress = decode_progress(rows[0].body) if rows else None
    if progress is None or not (progress.late or progress.is_past_deadline):
        return []
    manifest = from_stored(await reader.manifest())
    late = [Overdue(name, progress.due[name], owed_by(manifest, name)) for name in progress.late]
    passed = progress.deadline if progress.is_past_deadline else None
    return late if passed is None else [*late, Overdue(None, passed)]


async def _open_obligations(reader: Reader, process: int, live: frozenset[str] | None) -> list[OpenObligation]:
    views: list[ExecutionView] = []
    after = 0
    while len(views) < OBLIGATIONS_SHOWN_MAX:
        page = await reader.executions(process=process, statuses=range(Status.DONE), after=after, limit=PAGE)
        views += [view for view in page if view.gating]
        if len(page) < PAGE:
            break
        after = page[-1].id
    shown = views[:OBLIGATIONS_SHOWN_MAX]
    asked = await _answerers(reader) if any(is_answer(name) for view in shown for name in view.waits) else {}
    paused = await pauses_in(reader)
    behind = await _blockers(reader, [view for view in shown if view.status == Status.READY])
    gone = await _without_node(reader, process)
    kept = {view.id: await _kept_type(reader, view) for view in shown if view.handler == LATER}
    return [
        OpenObligation(
            view.handler,
            Status(view.status),
            kept.get(view.id, tuple(asked.get(name, name) for name in view.waits)),
            view.due,
            view.error,
            view.id not in gone if live is None else view.handler in live,
            behind.get(view.id),
            pause_of(view.handler, paused) if paused else None,
        )
        for view in shown
    ]


async def _without_node(reader: Reader, process: int) -> frozenset[int]:
    """The open executions of which the monitor said last that no live node has their handler."""
    rows = await reader.progress((process,))
    blocked = decode_progress(rows[0].body).blocked if rows else {}
    places = (obligation.split("/") for obligation, why in blocked.items() if why == NO_NODE)
    return frozenset(execution_id(int(event), int(handler)) for event, handler in places)


async def _answerers(reader: Reader) -> dict[str, str]:
    """Answers, as people see them: by who gives them."""
    handlers = from_stored(await reader.manifest()).handlers
    said = {f"{ANSWER_PREFIX}{asked}": f"an answer to {asked}" for each in handlers for asked in each.asks}
    given = {f"{ANSWER_PREFIX}{each.answers}": f"an answer from {each.name}" for each in handlers if each.answers}
    return said | given


def kept_type(event: EventView) -> str | None:
    """The type of the delayed event that this one keeps until it is due; None if it is no such event."""
    if event.type != LATER:
        return None
    try:
        return decode_delayed(event.data).type
    except DecodeFailed:
        return None


async def _kept_type(reader: Reader, view: ExecutionView) -> tuple[str, ...]:
    event = await reader.event(event_of(view.id))
    kept = None if event is None else kept_type(event)
    return () if kept is None else (kept,)


async def _blockers(reader: Reader, ready: list[ExecutionView]) -> dict[int, Blocker]:
    """What was set aside and keeps the lanes of these closed.

    A lane that opens at the first wait is not looked at: the rows do not tell whether it is open already.
    """
    if not ready:
        return {}
    handlers = {handler.name: handler for handler in from_stored(await reader.manifest()).handlers}
    found: dict[int, Blocker] = {}
    for view in ready:
        handler = handlers.get(view.handler)
        if handler is None or handler.lane == "until-wait":
            continue
        closing = (Status.DIVERGED,) if handler.on_failure == "park" else (Status.PARKED, Status.DIVERGED)
        if handler.lane == "until-end":
            ahead = await reader.ahead(view.id, statuses=closing, field=handler.key)
            ahead = ahead or await holder_above(reader, view, handler.key)
        else:
            ahead = await _batch_ahead(reader, view, closing if handler.lane == "batch" else ())
        process = None if ahead is None else await reader.process(ahead.process)
        if ahead is not None and process is not None:
            found[view.id] = Blocker(process.wire_id, Status(ahead.status), ahead.ended, ahead.error)
    return found


async def holder_above(reader: Reader, view: ExecutionView, field: str | None) -> ExecutionView | None:
    """What holds the lane of this one and waits for something that comes of this one only: they wait for each other."""
    waiting = await reader.executions(process=view.process, statuses=[Status.WAITING], handler=view.handler)
    event = await reader.event(event_of(view.id))
    holders = {each.id: each for each in waiting if each.id < view.id}
    lane = None if event is None else event.lane(field)
    if not holders or lane is None:
        return None
    for _ in range(EVENTS_LOOKED_AT_MAX):
        if event is None or not event.cause:
            return None
        cause = event.cause
        event = await reader.event(event_of(cause))
        if cause in holders and event is not None and event.lane(field) == lane:
            return holders[cause]
    return None


async def _batch_ahead(reader: Reader, view: ExecutionView, closing: Iterable[int]) -> ExecutionView | None:
    """The batch that was set aside and has this event, or with such a status keeps the later ones back."""
    aside = await reader.executions(
        handler=view.handler, statuses=(Status.PARKED, Status.DIVERGED), limit=BATCHES_LOOKED_AT_MAX
    )
    for leader in (each for each in aside if each.length):
        stored = await reader.execution(leader.id)
        is_own = stored is not None and view.id in members_in(stored.entries)
        if is_own or (leader.status in closing and leader.id < view.id):
            return leader
    return None


async def _last_events(reader: Reader, process: int) -> list[LastEvent]:
    """The events from which nothing followed."""
    events = await reader.events(process=process, limit=EVENTS_LOOKED_AT_MAX)
    executions = await reader.executions(process=process, limit=EVENTS_LOOKED_AT_MAX)
    causes = {event.cause for event in events}
    handled: dict[int, list[str]] = {}
    rejected: dict[int, list[str]] = {}
    fruitful: set[int] = set()
    for view in executions:
        if not view.gating:
            continue
        if view.status in (Status.REJECTED, Status.SKIPPED):
            did = "rejected" if view.status == Status.REJECTED else "skipped"
            rejected.setdefault(event_of(view.id), []).append(f"{view.handler} {did} it: {view.error}")
        elif view.status == Status.WRITTEN_OFF:
            rejected.setdefault(event_of(view.id), []).append(f"{view.handler} was retired")
        else:
            handled.setdefault(event_of(view.id), []).append(view.handler)
        if view.id in causes:
            fruitful.add(event_of(view.id))
    return [
        LastEvent(e.type, tuple(handled.get(e.n, ())), tuple(rejected.get(e.n, ())))
        for e in events
        if e.n not in fruitful
    ]


@final
class Watch:
    """Who waits for a process to end. Told by the store's batches, so a verdict is never said before it is durable."""

    def __init__(self, store: Store, *, has_rules: bool = False) -> None:
        """Watch the processes of this store; if it `has_rules`, the outcome alone does not make a verdict."""
        self._store = store
        self._waiters: Waiters[Closed] = Waiters()
        self._recent: dict[int, Closed] = {}
        self.unbalanced = 0
        self._has_rules = has_rules

    async def _completed(self, process: int, outcome: str) -> Verdict:
        verdict = judge((), outcome)
        return violated_too(verdict, await _violated_in(self._store.reader, process)) if self._has_rules else verdict

    def batch(self, outcome: BatchOutcome) -> None:
        """Some processes may have ended with this batch."""
        for closed in outcome.closed:
            if not closed.balanced:
                self.unbalanced += 1
                log.error("accounting violation: process %s has nothing open and a digest", closed.process)
            if closed.undoable:
                self.undone(closed.process)
                continue
            self._recent[closed.process] = closed
            self._waiters.tell(closed.process, closed)
        recent = self._recent
        while len(recent) > RECENT_PROCESSES_MAX:
            del recent[next(iter(recent))]

    def reopened(self, process: int) -> None:
        """An event joins this process: what is remembered of its end no longer holds."""
        self._recent.pop(process, None)

    def undone(self, process: int) -> None:
        """It is said of this process that it is undone, or may be: whoever waits is to look."""
        self._recent.pop(process, None)
        self._waiters.tell(process, None)

    async def verdict(
        self, process: int, timeout_s: float | None, live: frozenset[str] | None, *, known_open: bool = False
    ) -> Verdict:
        """Wait for a final verdict, for at most `timeout_s`; then the present one, whatever it is.

        With `known_open` the store is not asked before something happens or the time is over.
        """
        recent = self._recent.get(process)
        if recent is not None and recent.outcome is not None:
            return await self._completed(process, recent.outcome)
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s
        if known_open and (give_up is None or timeout_s):
            closed = await self._woken(process, self._waiters.begin(process), give_up)
            if closed is not None and closed.outcome is not None:
                return await self._completed(process, closed.outcome)
        while True:
            waiter = self._waiters.begin(process)
            verdict = await verdict_of(self._store.reader, process, live=live)
            if verdict is None:
                self._waiters.forget(process, waiter)
                raise LookupError(f"there is no process {process}")
            if verdict.is_final or (give_up is not None and loop.time() >= give_up - EARLY_S):
                self._waiters.forget(process, waiter)
                return verdict
            await self._woken(process, waiter, give_up)

    async def _woken(self, process: int, waiter: asyncio.Future[Closed | None], give_up: float | None) -> Closed | None:
        try:
            if give_up is None:
                return await waiter
            async with asyncio.timeout_at(give_up):
                return await waiter
        except TimeoutError:
            return None
        finally:
            self._waiters.forget(process, waiter)

    def close(self) -> None:
        """Nobody will be told any more."""
        self._waiters.close()

"""What a monitor writes on a node: rows of progress, the events that tell changes, and the event of a deadline."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, final

import msgspec

from onstage.contracts.manifest import AppManifest
from onstage.core.commit import Commit, Notes, Refusal, RefusedBecause
from onstage.errors import UsageError
from onstage.events.delayed import LATER
from onstage.events.process_changed import CHANGED_TYPES
from onstage.events.undoing_told import UNDO
from onstage.observe.progress import Change, Plan, owed_by, plan_of
from onstage.ports.store import Refused
from onstage.runtime.alerts import Alert
from onstage.runtime.emission import Emission
from onstage.runtime.process_monitor import ProcessMonitor
from onstage.runtime.snags import Snags, circular
from onstage.runtime.tidings import Tiding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.contracts.topology import Topology
    from onstage.core.commit import Note, ProgressRow
    from onstage.ports.clock import Clock
    from onstage.ports.store import Opened, ProcessView, Store
    from onstage.runtime.alerts import Alerts
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node
    from onstage.runtime.tidings import Tidings
    from onstage.runtime.watched_process import Told

__all__ = ["NodeTeller", "ViewTeller", "alerts_of", "as_event", "monitor_of", "monitor_of_view", "tidings_of"]


def as_event(view: ProcessView, change: Change, manifest: AppManifest) -> Any:
    """The event that tells a change."""
    said: dict[str, Any] = {
        "process": view.wire_id,
        "declared": view.declared,
        "key": view.key,
        "number": change.number,
        "at": _moment(change.at),
        "reason": change.reason,
    }
    if change.kind == "completed":
        said["outcome"] = change.outcome
    if change.kind == "violated":
        said["rule"] = change.rule
    if change.kind == "overdue":
        owing = () if change.milestone is None else owed_by(manifest, change.milestone)
        said |= {"milestone": change.milestone, "due": _moment(change.due or change.at), "owed_by": owing}
        said["reason"] = change.reason or _why_overdue(view, change, owing)
    return CHANGED_TYPES[change.kind].cls(**said)


def tidings_of(told: Sequence[Told], manifest: AppManifest) -> list[Tiding]:
    """These changes as events for handlers elsewhere, under ids that do not depend on who finds them."""
    found: list[Tiding] = []
    for view, change in told:
        known = CHANGED_TYPES[change.kind]
        data = known.encode(as_event(view, change, manifest))
        about = view.wire_id if change.is_of_end else ""
        found.append(Tiding(known.name, f"{view.wire_id}/{change.name}", change.at, data, about))
    return found


def alerts_of(told: Sequence[Told], manifest: AppManifest, *, of_one_of_several: bool = False) -> list[Alert]:
    """The alerts that these changes are; an end that was declared is none.

    Of several observers each may count changes differently: their ids then say what changed, not as the how many-th.
    Only who is stuck may be so again and again for one reason, and is numbered as well.
    """
    found: list[Alert] = []
    for view, change in told:
        number = str(change.number)
        if of_one_of_several:
            number = f"{change.name}/{number}" if change.kind == "stuck" else change.name
        if change.kind != "completed":
            found.append(_alert(view, change, manifest, f"{view.wire_id}/{number}"))
    return found


def _alert(view: ProcessView, change: Change, manifest: AppManifest, name: str) -> Alert:
    event, known = as_event(view, change, manifest), CHANGED_TYPES[change.kind]
    body = {
        "specversion": "1.0",
        "id": name,
        "source": "//onstage/monitor",
        "type": known.name,
        "time": _moment(change.at),
        "datacontenttype": "application/json",
        "data": msgspec.Raw(known.encode(event)),
    }
    return Alert(name, change.at, msgspec.json.encode(body))


def _why_overdue(view: ProcessView, change: Change, owing: tuple[str, ...]) -> str:
    due = f"{_moment(change.due or change.at):%Y-%m-%d %H:%M:%S} UTC"
    if change.milestone is None:
        return f"{view.declared} has no outcome, its deadline was {due}"
    return f"{change.milestone} was due at {due}{', owed by ' if owing else ''}{' or '.join(owing)}"


def _with_alerts(alerts: Alerts | None, made: Sequence[Alert], notes: Sequence[Note]) -> Notes | None:
    if alerts is None or not made:
        return Notes(notes) if notes else None
    return Notes(notes).joined(alerts.notes(made))


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def monitor_of(node: Node) -> ProcessMonitor | None:
    """The monitor that a node needs, or None: nothing declared needs one, or nothing runs here.

    Where services run apart it sees a part of each process only, and minds nothing but deadlines that have an event.
    """
    if not node.dispatches:
        return None
    teller, plans = NodeTeller(node), dict[str, Plan]()
    for process in node.processes:
        plan, is_timed = (
            plan_of(process.manifest()),
            bool(process.within_s or process.rules) or process.deadline_s is not None,
        )
        if node.exchange is None and (is_timed or teller.wants_changes):
            plans[process.name] = plan
        elif node.exchange is not None and process.late is not None:
            plans[process.name] = Plan(
                declared=plan.declared,
                starts=plan.starts,
                outcomes=plan.outcomes,
                deadline_ms=plan.deadline_ms,
                is_whole=False,
            )
    if not plans and not teller.wants_changes:
        return None

    def missing() -> frozenset[str]:
        live = {reaction.name for reaction in node.reactions.values()} | {LATER}
        return frozenset(node.handler_names.values()) - live

    return ProcessMonitor(
        node.store,
        node.clock,
        plans,
        teller,
        type_name=node.type_names.__getitem__,
        handler_name=lambda number: node.handler_names.get(number, ""),
        snags=Snags(node.store.reader, missing, circular(node.manifest)) if teller.wants_changes else None,
    )


def monitor_of_view(
    store: Store,
    opened: Opened,
    clock: Clock,
    topology: Topology,
    is_current: Callable[[], bool],
    alerts: Alerts | None,
    *,
    tidings: Tidings | None = None,
    missing: Callable[[], frozenset[str]] = frozenset,
) -> ProcessMonitor | None:
    """The monitor of an observer, None if nothing is declared that needs one.

    It sees whole processes, and leaves a deadline that has an event to the owner. Without `tidings` no handler hears of
    changes. `missing` answers which handlers of the topology no live node has.
    """
    processes, is_told = topology.processes, alerts is not None or tidings is not None
    timed = [each for each in processes if each.within_s or each.deadline_s or each.rules or is_told]
    plans = {each.name: plan_of(each) for each in timed}
    for process in processes:
        if process.late and process.name in plans:
            plans[process.name] = msgspec.structs.replace(plans[process.name], deadline_ms=None)
    if not plans and not is_told:
        return None
    types = {number: name for (name, _), number in opened.types.items()}
    handlers = {number: name for name, number in opened.handlers.items()}
    manifest = AppManifest(handlers=topology.handlers)

    def gone() -> frozenset[str]:
        return (frozenset(opened.handlers) - topology.handler_names - {LATER, UNDO}) | missing()

    return ProcessMonitor(
        store,
        clock,
        plans,
        ViewTeller(store, opened.epoch, manifest, alerts, tidings),
        type_name=types.__getitem__,
        handler_name=lambda number: handlers.get(number, ""),
        is_current=is_current,
        snags=Snags(store.reader, gone, circular(manifest)) if is_told else None,
    )


@final
class ViewTeller:
    """Writes for the monitor of an observer: rows, and what is sent, for nothing runs there."""

    def __init__(
        self, store: Store, epoch: int, manifest: AppManifest, alerts: Alerts | None, tidings: Tidings | None = None
    ) -> None:
        """Into this store; `manifest` says who owes what."""
        self._store = store
        self._epoch = epoch
        self._manifest = manifest
        self._alerts = alerts
        self._tidings = tidings
        self.wants_changes = alerts is not None or tidings is not None

    def append(self, told: Sequence[Told], rows: Sequence[ProgressRow], notes: Sequence[Note]) -> int:
        """Append one commit of the rows, notes and what is to be sent; answers its position."""
        made = () if self._alerts is None else alerts_of(told, self._manifest, of_one_of_several=True)
        kept = _with_alerts(self._alerts, made, notes)
        if told and self._tidings is not None:
            kept = (kept or Notes()).joined(self._tidings.notes(tidings_of(told, self._manifest)))
        return self._store.append(Commit(epoch=self._epoch, notes=kept, progress=rows))

    async def append_late(self, view: ProcessView, row: ProgressRow) -> int | None:
        """There is none: the store of the owner decides."""
        return None


@final
class NodeTeller:
    """Writes for the monitor of a node."""

    def __init__(self, node: Node) -> None:
        """Only what a handler here subscribes to is told."""
        self._node = node
        heard = {kind: node.routes.get(known.name) for kind, known in CHANGED_TYPES.items()}
        self._routes: dict[str, Route] = {kind: r for kind, r in heard.items() if r is not None and r.triggers}
        self._processes = {process.name: process for process in node.processes}
        self.wants_changes = node.exchange is None and (bool(self._routes) or node.alerts is not None)

    def append(self, told: Sequence[Told], rows: Sequence[ProgressRow], notes: Sequence[Note]) -> int:
        """Append one commit of all this; answers its position."""
        node, emission = self._node, Emission(self._node.numbers)
        for view, change in told:
            route = self._routes.get(change.kind)
            if route is not None:
                data = route.type.encode(as_event(view, change, node.manifest))
                emission.emit(route, data, None, now_ms=node.clock.now_ms())
        kept = _with_alerts(node.alerts, () if node.alerts is None else alerts_of(told, node.manifest), notes)
        commit = Commit(epoch=node.epoch, notes=kept, progress=rows)
        return self._append(commit, emission)

    async def append_late(self, view: ProcessView, row: ProgressRow) -> int | None:
        """Append what `late=` makes of the event that began the process, unless it has an outcome by then.

        Raises Refused at once for one that is undone, or was: nothing more is to end it.
        """
        await self._node.waves.recall(view.id)
        if view.id in self._node.waves.stopped:
            raise Refused(Refusal(Commit(), RefusedBecause.CONFLICT))
        declared = self._processes.get(view.declared or "")
        if declared is None or declared.late is None:
            return None
        node = self._node
        made = declared.late(await self._start_of(view, {known.name for known in declared.starts}))
        route = node.routes_by_class.get(type(made))
        if route is None:
            raise UsageError(
                f"late= of process {declared.name} made {type(made).__qualname__}, which is no event of this app\n"
                "  why: no handler or process names it\n  to do: make one of the events in done= or failed="
            )
        emission = Emission(node.numbers)
        data, key = route.type.encode(made), node.admission.key_of(route, made)
        emission.emit(route, data, key, now_ms=node.clock.now_ms(), process=view.id)
        node.watch.reopened(view.id)
        return self._append(Commit(epoch=node.epoch, progress=(row,), undecided=view.id), emission)

    async def _start_of(self, view: ProcessView, starts: set[str]) -> Any:
        after = 0
        while page := await self._node.store.reader.events(process=view.id, after=after):
            for event in page:
                if event.type in starts:
                    return self._node.types[event.type].read(event.data, event.version)
            after = page[-1].n
        raise UsageError("the event that began the process is gone\n  why: it is not stored\n  to do: report this")

    def _append(self, commit: Commit, emission: Emission) -> int:
        node = self._node
        commit.events, commit.opened, commit.mail = emission.events, emission.opened, emission.mail
        commit.receipts, commit.roots = emission.receipts, emission.roots
        position = node.append(commit, emission if emission.events else None)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()
        return position

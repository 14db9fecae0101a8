"""A node: the services of one OS process on one store, running.

Composition and book-keeping only: what is open in memory, what happens when a run is settled, when a batch is durable
or refused. Who runs next is the dispatcher's, what a run came to is the driver's.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from onstage.contracts.service import Service
from onstage.contracts.validation import declared
from onstage.core.commit import Commit, Notes, handler_of
from onstage.core.identity import Identity
from onstage.errors import StoreUnavailable
from onstage.events.envelope import EVENT_BYTES_MAX, Envelope
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.admission import Admission
from onstage.runtime.attempts import run_function
from onstage.runtime.audit import AuditTrail
from onstage.runtime.cancelling import Marks
from onstage.runtime.completion import Completions
from onstage.runtime.declaring import declaration_of
from onstage.runtime.delaying import Delaying
from onstage.runtime.delivery import Delivery, Reaction
from onstage.runtime.dispatcher import Dispatcher
from onstage.runtime.driver import Driver
from onstage.runtime.emission import Emission, Numbers, Route
from onstage.runtime.entity import Entities
from onstage.runtime.exchange import Exchange
from onstage.runtime.flow_control import FlowControl
from onstage.runtime.frame import Frame
from onstage.runtime.history import History
from onstage.runtime.hopeless_waits import HopelessWaits, hopeless_waits_of
from onstage.runtime.mailbox import Mailbox
from onstage.runtime.process_teller import monitor_of
from onstage.runtime.recovery import Recovery
from onstage.runtime.reloading import Reloading
from onstage.runtime.resources import Resources
from onstage.runtime.routing import routing_of, source_of
from onstage.runtime.scheduler import Scheduler
from onstage.runtime.timer_loop import TimerLoop
from onstage.runtime.undo_registry import undo_steps_of
from onstage.runtime.watch import Watch
from onstage.runtime.waves import Waves
from onstage.runtime.wire import names_of, to_envelope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from onstage.contracts.process import Process
    from onstage.ports.broker import Broker
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome, EventView, Store
    from onstage.ports.telemetry import Telemetry
    from onstage.ports.workers import Workers
    from onstage.runtime.alerts import Alerts
    from onstage.runtime.process_monitor import ProcessMonitor
    from onstage.runtime.step import Step

__all__ = ["DRAIN_S", "Node"]

DRAIN_S: Final = 10.0
HEADERS_BYTES: Final = 16_384
"""What is kept free for attributes in a message of a broker."""
T = TypeVar("T")
log = logging.getLogger("onstage.node")


@final
class Node:
    """Runs services on a store. Open it, use it, close it, all on one loop."""

    def __init__(
        self,
        services: Sequence[Service],
        processes: Sequence[Process],
        *,
        store: Store,
        clock: Clock,
        workers: Workers,
        invoke: Callable[[Step[..., Any], Frame, str, tuple[Any, ...]], Awaitable[Any]] = run_function,
        dispatch: bool = True,
        broker: Broker | None = None,
        hosted: Collection[str] | None = None,
        telemetry: Telemetry | None = None,
        alerts: Alerts | None = None,
    ) -> None:
        """Name the parts; nothing runs yet. With `dispatch` false the node admits events and runs no handler.

        With a `broker` the node runs the services `hosted`, and others run elsewhere. `alerts` are told what should not
        be, where it sees whole processes.
        """
        self.services = tuple(services)
        self.hosted = frozenset(service.name for service in services if hosted is None or service.name in hosted)
        self.processes = tuple(processes)
        self._declared = declared(self.services, self.processes)
        self.manifest = self._declared.manifest
        self.stored_manifest = self._declared.stored
        self.types = {known.name: known for known in self._declared.types}
        self.store = store
        self.clock = clock
        self.workers = workers
        self.invoke = invoke if telemetry is None else telemetry.traced(invoke)
        self.dispatches = dispatch
        self.telemetry = telemetry
        self.open: dict[int, Delivery] = {}
        self.routes: dict[str, Route] = {}
        self.routes_by_class: dict[type[Any], Route] = {}
        self.steps: dict[str, Step[..., Any]] = {}
        self.reactions: dict[int, Reaction] = {}
        self.handler_names: dict[int, str] = {}
        self.type_names: dict[int, str] = {}
        self.writers: list[str] = []
        self.topologies_kept: set[int] = set()
        self.exchange = None if broker is None else Exchange(self, broker)
        self.resources = Resources()
        self.alerts = alerts if dispatch else None
        self.waves = Waves(self)
        self.monitor: ProcessMonitor | None = None
        self.hopeless: HopelessWaits | None = None
        self.epoch = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = False
        self._closed = False

    # Opening.

    async def start(self) -> None:
        """Open the store, take up what is open in it, and begin to run."""
        opened = await self.store.open(declaration_of(self))
        self.epoch = opened.epoch
        self.numbers = Numbers(opened, Identity(opened.store, opened.incarnations))
        self.driver = Driver(self)
        self.dispatcher = Dispatcher(self.driver, self.store)
        self.mailbox = Mailbox(self.store, self.numbers, self.nudge)
        self.entities = Entities(self.store)
        self.completions = Completions(self)
        self.audit = AuditTrail(self)
        self.timers = TimerLoop(self.clock, self.open, self.unpark, self.dispatcher.wake)
        self.watch = Watch(self.store, has_rules=any(each.rules for each in self.processes))
        self.admission = Admission(self)
        self.recovery = Recovery(self)
        self.marks = Marks(self)
        self.reloading = Reloading(self)
        self.scheduler = Scheduler(self)
        self.history = History(self)
        self.store.on_batch = self._on_batch
        self._opened = True
        routing = routing_of(self._declared, self.services, self.processes, self.hosted, opened)
        self.routes.update(routing.routes)
        self.routes_by_class.update((route.type.cls, route) for route in routing.routes.values())
        self.reactions.update(routing.reactions)
        self.delaying = Delaying(opened, self.reactions)
        self.waves.open(opened)
        self.flow = FlowControl(self)
        await self.flow.open()
        self.handler_names = {number: name for name, number in opened.handlers.items()} | opened.retired_handlers
        self.type_names = {number: name for (name, _), number in opened.types.items()}
        self.writers = [f"{opened.store}-{name}" for _, name in opened.incarnations]
        if self.telemetry is not None:
            self.telemetry.begin(self.handler_names, self.type_names, self.numbers.identity)
        self.live = frozenset(reaction.name for reaction in self.reactions.values()) if self.dispatches else None
        self.steps.update(undo_steps_of(handler.fn for service in self.services for handler in service.handlers))
        await self.waves.load()
        await self.admission.load()
        await self.completions.load()
        if self.exchange is not None:
            await self.exchange.open()
        await self.history.load()
        self.monitor = monitor_of(self)
        if self.monitor is not None:
            await self.monitor.load()
        if not self.dispatches:
            return
        await self.resources.open([service for service in self.services if service.name in self.hosted])
        await self.recovery.start()
        await self.scheduler.start()
        self.history.begin()
        self.waves.begin()
        if self.monitor is not None:
            self.monitor.start()
        self.hopeless = hopeless_waits_of(self)
        if self.hopeless is not None:
            await self.hopeless.start()
        if self.alerts is not None:
            await self.alerts.begin(self.store, self.epoch, self.clock)
        if self.exchange is not None:
            await self.exchange.start()
        self.dispatcher.wake()

    # Running.

    def append(self, commit: Commit, emission: Emission | None) -> int:
        """Append a commit and offer at once what it emits: reactions do not wait for the disk, effects do."""
        if self.exchange is not None:
            self.exchange.begins(commit, emission)
        position = self.store.append(commit)
        if self.waves.is_watchful:
            self.waves.appended(commit, position)
        if self.telemetry is not None:
            self.telemetry.appended(commit)
        if emission is None:
            return position
        for root in emission.roots:
            self.admission.began(root.process, root.declared, root.key, position)
        if self.dispatches:
            for delivery in emission.deliveries:
                delivery.after = position
                self.open[delivery.id] = delivery
                if delivery.due is None:
                    self.dispatcher.offer(delivery)
                else:
                    self.timers.hold(delivery)
        if emission.mail:
            self.mailbox.arrived(position, emission)
        return position

    def settled(self, frame: Frame, status: Status) -> None:
        """A run ended: free its place, and its lane unless it goes on holding it."""
        delivery = frame.delivery
        self.dispatcher.release_place(delivery)
        if delivery.reaction.patient and not frame.barred:
            delivery.reaction.patient = False
        if status > Status.DIVERGED:
            if delivery.waits or delivery.resumed:
                self.mailbox.leave(delivery)
            del self.open[delivery.id]
            self.dispatcher.release_lane(delivery, after=delivery.after)
            return
        delivery.parked = delivery.resumed = True
        delivery.data = None
        if delivery.reaction.turnstile is not None:
            delivery.reaction.turnstile.parked(delivery, status)
        if delivery.waits and (frame.parked is None or not frame.parked.waits):
            self.mailbox.leave(delivery)  # it listened earlier in this run, and no longer does
        if status in (Status.PARKED, Status.DIVERGED):
            self.keep_aside(delivery, status)
            return
        if delivery.nudged:
            self.unpark(delivery)
        elif delivery.due is not None:
            self.timers.add(delivery)

    def keep_aside(self, delivery: Delivery, status: int) -> None:
        """It is set aside: nothing wakes it but an operator."""
        delivery.parked = True
        self.mailbox.leave(delivery)
        if delivery.reaction.parks and status == Status.PARKED:
            self.dispatcher.release_lane(delivery, after=delivery.after)
            delivery.lane = None

    def nudge(self, delivery: Delivery, position: int, abouts: Collection[int] | None = None) -> None:
        """Something came that the execution waits for: run it again, now or when its present run has parked.

        If it runs, those of its calls look for it that wait beside others. `abouts` is what it is about, if it is mail.
        """
        delivery.nudged = True
        delivery.after = max(delivery.after, position)
        if delivery.parked:
            self.unpark(delivery)
        elif (frame := self.dispatcher.running.get(delivery.id)) is not None:
            frame.rouse(abouts)

    def unpark(self, delivery: Delivery) -> None:
        """Let a parked execution run again; replay brings it to where it was."""
        delivery.parked = delivery.nudged = False
        delivery.due = None
        self.mailbox.leave(delivery)
        self.dispatcher.offer(delivery)
        self.dispatcher.wake()

    def append_notes(self, notes: Notes) -> int:
        """Append notes alone, to be written at the end of this turn of the loop; answers their position."""
        position = self.append(Commit(epoch=self.epoch, notes=notes), None)
        self.dispatcher.flush_soon()
        return position

    async def settle_window(self) -> None:
        """Wait until everything appended so far is durable or refused."""
        self.store.flush()
        try:
            await self.store.durable(self.store.appended)
        except Refused:
            return

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside the handlers; its failure is logged, and it ends with the node."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)

    def _spawned_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._closed:
            log.error("background work failed; recovery will look again", exc_info=task.exception())

    # What the store reports.

    def _on_batch(self, outcome: BatchOutcome) -> None:
        if self.telemetry is not None:
            self.telemetry.durable(outcome)
        if self.waves.is_watchful or outcome.waves:
            self.waves.batch(outcome)
        self.mailbox.durable(outcome.position)
        self.entities.durable(outcome.position)
        self.completions.durable(outcome)
        for refusal in outcome.refused:
            self.reloading.fell(refusal)
        for closed in outcome.closed:
            self.admission.closed(closed.process)
        self.watch.batch(outcome)
        self.admission.durable(outcome.position)
        self.dispatcher.durable(outcome.position)
        self.dispatcher.wake()
        self.history.look()
        if self.monitor is not None:
            self.monitor.poke()
        if self.hopeless is not None:
            self.hopeless.poke()
        if self.exchange is not None:
            self.exchange.durable(outcome.position)

    # For handlers and steps.

    def type_named(self, name: str, version: int) -> Any:
        """The event type with this name and version, or None if this application has none."""
        known = self.types.get(name)
        return known if known is not None and known.version == version else None

    def envelope(self, stored: EventView) -> Envelope:
        """A stored event as a CloudEvents envelope."""
        reaction = self.reactions.get(handler_of(stored.cause))
        return to_envelope(stored, self.numbers.identity, self.source_of(stored), reaction and reaction.name)

    def names_of(self, stored: EventView) -> tuple[str, str] | None:
        """The public ids of the process and of the event, None if both are of this store."""
        process, event = names_of(stored)
        if process is None and event is None:
            return None
        own = self.numbers.names(stored.process, stored.n)
        return process or own[0], event or own[1]

    @property
    def event_bytes_max(self) -> int:
        """How large an event may be: what the store takes, or with a broker what every store and the broker take."""
        if self.exchange is None:
            return self.store.features.payload_bytes_max
        broker_takes = self.exchange.broker.payload_bytes_max
        return EVENT_BYTES_MAX if broker_takes is None else min(EVENT_BYTES_MAX, broker_takes - HEADERS_BYTES)

    def source_of(self, stored: EventView) -> str:
        """Which service an event came from, as a CloudEvents source."""
        reaction = self.reactions.get(handler_of(stored.cause)) if stored.cause else None
        if reaction is None:
            return "//onstage/door"
        return source_of(self.services, reaction.service)

    async def run_in_thread(self, function: Callable[[], T]) -> T:
        """Run a synchronous function of the user's in its context, off the loop."""
        context = copy_context()
        return await self.workers.run(lambda: context.run(function))

    def refuse_in_trouble(self) -> None:
        """Refuse new work while the store cannot write. Raises StoreUnavailable with what, why and what to do."""
        if self.store.trouble is not None:
            raise StoreUnavailable(self.store.trouble)

    # Closing.

    async def close(self, *, grace_s: float = DRAIN_S) -> None:
        """Start nothing more, let running steps finish for `grace_s`, make everything durable, free the store."""
        if self._closed:
            return
        self._closed = True
        if self._opened:
            self.timers.close()
            self.scheduler.close()
            self.recovery.close()
            await self.dispatcher.close(grace_s)
            if self.monitor is not None:
                await self.monitor.close()
            if self.hopeless is not None:
                await self.hopeless.close()
            if self.alerts is not None:
                await self.alerts.close()
            if self.exchange is not None:
                await self.exchange.close()
            for task in set(self._tasks):
                task.cancel()
            await self.store.close()
            self.watch.close()
            self.mailbox.replies.close()
        await self.workers.close()
        await self.resources.close()

"""Takes up what is open in the store: at the start, and again and again.

The liveness invariant: every open execution has at least one of a place in memory, a due time, a wait with a reason,
or a parked error. The sweep looks for open rows that nobody on this node knows, and takes them up. It takes up nothing
that this very process has just begun or ended: what seems unknown is looked at once more after everything appended
until then is durable.

An execution whose commit the store cannot write, for a reason that lies in this commit, would do the same again and
again: it is set aside instead.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.core import lifecycle
from onstage.core.commit import event_of, handler_of
from onstage.core.journal import has_paused
from onstage.core.lifecycle import Input
from onstage.events.answer import is_answer
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.delivery import Delivery, lane_key
from onstage.runtime.error_text import said, storable
from onstage.runtime.operations import commit_of
from onstage.runtime.shared_starts import rejoin
from onstage.runtime.wire import expiry_of, follows, version_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.ports.store import EventView, ExecutionView, Stored
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.node import Node

__all__ = ["SWEEP_S", "Recovery"]

SWEEP_S: Final = 30.0
PAGE: Final = 1000
log = logging.getLogger("onstage.recovery")


@final
class Recovery:
    """The continuous loop over open executions of one node."""

    def __init__(self, node: Node) -> None:
        """For this node."""
        self._node = node
        self._task: asyncio.Task[None] | None = None
        self._unwritable: dict[int, str] = {}
        self._setting_aside: set[int] = set()
        self.repaired = 0

    async def start(self) -> None:
        """Take up everything that is open, in the order of the log, then keep looking."""
        reader, after = self._node.store.reader, 0
        while True:
            page = await reader.executions(after=after, limit=PAGE)
            for view in page:
                await self._take_up(view)
            if len(page) < PAGE:
                break
            after = page[-1].id
        await self._unread()
        await rejoin(self._node)
        self._node.completions.wake()
        self._task = asyncio.get_running_loop().create_task(self._sweep_forever())

    async def _unread(self) -> None:
        after = 0
        while page := await self._node.store.reader.unread(after=after, limit=PAGE):
            for execution in page:
                delivery = self._node.open.get(execution)
                if delivery is not None and delivery.parked:
                    self._node.unpark(delivery)
            after = page[-1]

    async def take_up(self, execution: int) -> None:
        """Look at one execution after everything appended is durable; take it up if it is open and unknown."""
        await self._node.settle_window()
        stored = await self._node.store.reader.execution(execution)
        if stored is None or execution in self._node.open or not Status(stored.execution.status).is_open:
            return
        await self._take_up(self.aside_if_unwritable(stored))
        delivery = self._node.open.get(execution)
        if delivery is not None and delivery.parked and delivery.waits:
            self._node.unpark(delivery)  # mail may have come while nobody listened; if none did, it parks again
        self._node.dispatcher.wake()

    async def take_up_all(self, executions: Iterable[int]) -> None:
        """Take up several, in this order."""
        for execution in executions:
            await self.take_up(execution)

    # What cannot be written.

    def cannot_be_written(self, execution: int, error: BaseException | None) -> bool:
        """Note that the store cannot write a commit of this execution: it is set aside when it is looked at again.

        False if this is the very commit that sets it aside: then nothing more can be done.
        """
        if execution in self._setting_aside:
            return False
        why = "no reason was given" if error is None else f"{type(error).__name__}: {said(error)}"
        self._unwritable[execution] = storable(
            f"the store cannot write what this execution came to\n  why: {why}\n"
            "  to do: correct what the handler records or emits, then retry it"
        )
        return True

    def aside_if_unwritable(self, stored: Stored) -> ExecutionView:
        """Set an open execution aside if the store could not write what it came to; answers its row as it is now."""
        view = stored.execution
        why = self._unwritable.pop(view.id, None)
        if why is None or Status(view.status) in (Status.PARKED, Status.DIVERGED):
            return view
        node, status = self._node, lifecycle.advance(Status(view.status), Input.FAIL)
        aside = msgspec.structs.replace(view, status=int(status), due=None, waits=(), error=why)
        self._setting_aside.add(view.id)
        log.error("%s is set aside: %s", view.handler, why)
        position = node.append(commit_of(node, stored, status, error=why), None)
        node.dispatcher.flush_soon()
        node.spawn(self._until_set_aside(aside, position))
        return aside

    async def _until_set_aside(self, view: ExecutionView, position: int) -> None:
        try:
            await self._node.store.durable(position)
        except Refused as refused:
            log.error("%s cannot even be set aside: %s", view.handler, refused.refusal.error)  # noqa: TRY400
        finally:
            self._setting_aside.discard(view.id)

    async def _take_up(self, view: ExecutionView) -> None:
        node = self._node
        reaction = node.reactions.get(handler_of(view.id))
        if reaction is None or view.id in node.open:
            return
        event = await node.store.reader.event(event_of(view.id))
        assert event is not None, "an obligation is written with its event"
        delivery = Delivery(view.id, reaction, view.process, type=None, lane=None)
        delivery.type = None if reaction.handler.pattern else node.type_named(event.type, event.version)
        delivery.lane = None if await self._has_left_lane(reaction, view) else self._lane(reaction, view, event)
        delivery.names, delivery.signed = node.names_of(event), await self.signed(reaction, event)
        delivery.expires = expiry_of(event.extra)
        delivery.extra = event.extra if follows(event.extra) else None
        node.numbers.hear(event.hlc, node.clock.now_ms())  # the store knows its own readings only
        delivery.resumed, delivery.gating = True, view.gating
        delivery.cancelled = node.marks.has(view.id)
        if reaction.turnstile is not None:
            await reaction.turnstile.recovered(delivery, view, event)
        if Status(view.status) not in (Status.READY, Status.RUNNING) and delivery.lane in reaction.lanes:
            self._contend(delivery)
        node.open[view.id] = delivery
        match Status(view.status):
            case Status.READY if view.due is not None:
                delivery.due = view.due
                node.timers.hold(delivery)
            case Status.READY | Status.RUNNING:
                node.dispatcher.offer(delivery)
            case Status.WAITING | Status.RETRYING:
                self._park(delivery, view)
            case _:
                delivery.parked = True
                node.dispatcher.hold_lane(delivery)
        if delivery.parked and (delivery.cancelled or _asks_apart(delivery)):
            node.unpark(delivery)

    def _contend(self, delivery: Delivery) -> None:
        """Decide whose a lane is that has a holder, once an execution is found that has begun in it and is parked.

        With `on_failure="park"` it has begun because those before it were set aside, and left the lane; who was retried
        since no longer shows that. So what comes next waits for the last one that has begun, which may never have been
        set aside. Without, or behind a later holder, the order was given up under an earlier declaration.
        """
        node, reaction, lane = self._node, delivery.reaction, delivery.lane
        of_lane = (
            other for other in node.open.values() if other.reaction.lanes is reaction.lanes and other.lane == lane
        )
        before = [other for other in of_lane if other.id < delivery.id] if reaction.parks else []
        if any(other.has_lane for other in before):
            node.dispatcher.take_lane(delivery, before)
        else:
            delivery.lane = None

    async def _has_left_lane(self, reaction: Reaction, view: ExecutionView) -> bool:
        """Whether it let go of its lane in an earlier life, which it never takes again.

        The journal tells it: an execution parks in the very commit that opens its wait, or in a later one. A process
        that died between the two left an execution that holds no lane and has come to its wait.
        """
        if not reaction.releases_lane or not view.length:
            return False
        if Status(view.status) is Status.WAITING:
            return True
        stored = await self._node.store.reader.execution(view.id)
        return stored is not None and has_paused(stored.entries)

    async def signed(self, reaction: Reaction, event: EventView) -> str | None:
        """The name that a handler had when it was obliged to this event, None if it still has it.

        Tokens are made of names, and one is closed under the name it was opened with.
        """
        if not reaction.handler.was or reaction.generation:
            return None
        if event.topology == self._node.numbers.topology:
            return None
        known = await self.handlers_of(event.topology)
        earlier = next((name for name in reaction.handler.was if name in known), None)
        return earlier or self._node.history.signed(reaction, event.n)

    async def handlers_of(self, topology: int) -> set[str]:
        """The names of the handlers of a topology epoch, as far as it is known here."""
        exchange = self._node.exchange
        if exchange is None:
            declared = from_stored(await self._node.store.reader.manifest(topology))
            return {handler.name for handler in declared.handlers}
        known = exchange.registry.kept(topology)
        return set() if known is None else {handler.name for handler in known.handlers}

    def _lane(self, reaction: Reaction, view: ExecutionView, event: EventView) -> str | None:
        status = Status(view.status)
        if not reaction.is_ordered or (status is Status.PARKED and reaction.parks):
            return None
        return self.lane_of(reaction, event)

    def lane_of(self, reaction: Reaction, event: EventView) -> str | None:
        """The lane of a stored event at a handler; of one that cannot be decoded, the event's own."""
        known = self._node.types.get(event.type)
        if reaction.key is None or known is None:
            return event.key
        try:
            return lane_key(known, reaction.key, event.data, version_of(event))
        except (ValueError, RecursionError):
            return event.key

    def _park(self, delivery: Delivery, view: ExecutionView) -> None:
        node = self._node
        node.dispatcher.hold_lane(delivery)
        delivery.parked = True
        delivery.due = view.due
        if view.waits:
            node.mailbox.listen(delivery, view.waits)
        if view.due is not None:
            node.timers.add(delivery)

    # Again and again.

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except Exception:
                log.exception("the look for stranded executions failed; it is repeated in %s s", SWEEP_S)

    async def sweep(self) -> int:
        """Look once for open executions that nobody knows; answers how many were taken up."""
        reader, after, stranded = self._node.store.reader, 0, list[int]()
        while True:
            page = await reader.executions(after=after, limit=PAGE)
            stranded.extend(
                view.id
                for view in page
                if view.id not in self._node.open and handler_of(view.id) in self._node.reactions
            )
            if len(page) < PAGE:
                break
            after = page[-1].id
            await asyncio.sleep(0)
        before = len(self._node.open)
        for execution in stranded:
            await self.take_up(execution)
        taken = len(self._node.open) - before if stranded else 0
        if taken > 0:
            self.repaired += taken
            log.warning("%s stranded executions were taken up again", taken)
        return taken

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()


def _asks_apart(delivery: Delivery) -> bool:
    """Whether it waits for an answer in another process than its own: it runs again, to say which one that is."""
    return not delivery.gating and any(is_answer(name) for name in delivery.waits)

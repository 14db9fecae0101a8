"""What a refused commit brought is dropped from memory, and loaded anew from what the store has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, final

from onstage.core.commit import RefusedBecause
from onstage.events.receipt import Status
from onstage.runtime.frame import Park
from onstage.runtime.wire import expiry_of

if TYPE_CHECKING:
    from onstage.core.commit import Refusal
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = ["Reloading"]

log = logging.getLogger("onstage.node")


@final
class Reloading:
    """Fells what follows from refused commits, for one node."""

    def __init__(self, node: Node) -> None:
        """Nothing is being reloaded yet."""
        self._node = node
        self._reloading: set[int] = set()

    def fell(self, refusal: Refusal) -> None:
        """Drop from memory what a refused commit brought: its execution's run, and everything it would have caused."""
        commit, because = refusal.commit, refusal.because
        if self._node.exchange is not None:
            self._node.exchange.refused(commit)
        for root in commit.roots:
            self._node.admission.closed(root.process)
        for obligation in commit.opened:
            self._drop(obligation.execution)
        execution = commit.execution
        if not execution:
            return
        if because == RefusedBecause.USER and (
            commit.transaction is not None  # whoever waits for it goes on with its error
            or commit.status in (Status.READY, Status.DROPPED)  # likewise: an operator
            or not self._node.recovery.cannot_be_written(execution, refusal.error)
        ):
            return
        log.warning("a commit of execution %s was refused: %s; it is loaded anew", execution, because)
        self._drop(execution)
        fallen = (execution, *commit.also)
        if any(each not in self._node.open for each in fallen):
            self._node.spawn(self._node.recovery.take_up_all(fallen))

    def _drop(self, execution: int) -> None:
        delivery = self._node.open.get(execution)
        if delivery is None or execution in self._reloading:
            return
        frame = self._node.dispatcher.running.get(execution)
        if frame is not None:
            frame.parked = Park()
        elif delivery.parked:
            delivery.parked = False
            self._begin_reload(delivery)
        else:
            self._node.dispatcher.dropped.add(execution)
            del self._node.open[execution]

    def gone(self, frame: Frame) -> None:
        """A run that what led to it was refused, or that is settled already: forget it and look at the store."""
        frame.closed = True
        self._node.dispatcher.release_place(frame.delivery)
        self._begin_reload(frame.delivery)

    def _begin_reload(self, delivery: Delivery) -> None:
        self._reloading.add(delivery.id)
        self._node.spawn(self._reload(delivery))

    async def _reload(self, delivery: Delivery) -> None:
        try:
            await self._node.settle_window()
        finally:
            self._reloading.discard(delivery.id)
        self._node.mailbox.leave(delivery)
        stored = await self._node.store.reader.execution(delivery.id)
        if stored is None or not Status(stored.execution.status).is_open:
            self._node.open.pop(delivery.id, None)
            self._node.dispatcher.release_lane(delivery)
            self._node.dispatcher.wake()
            return
        delivery.data, delivery.resumed, delivery.after, delivery.due = None, True, 0, None
        delivery.expires = expiry_of(stored.event.extra)
        view = self._node.recovery.aside_if_unwritable(stored)
        if view.status == Status.READY and view.due is not None:
            delivery.due = view.due
            self._node.timers.hold(delivery)
        elif view.status not in (Status.PARKED, Status.DIVERGED):
            self._node.dispatcher.offer(delivery)
        else:
            self._node.keep_aside(delivery, view.status)
        self._node.dispatcher.wake()

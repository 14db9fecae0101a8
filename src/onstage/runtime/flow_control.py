"""Flow control of a node: which handlers have a turnstile, what gathers before them, and what is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from onstage.runtime.batching import Batching
from onstage.runtime.debounce import Debounce
from onstage.runtime.kept_rates import KeptRate, kept_rate
from onstage.runtime.pauses import Pauses
from onstage.runtime.turnstile import Gate, Turnstile

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.contracts.flow_options import Flow
    from onstage.events.rate import Rate
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.node import Node

__all__ = ["FlowControl"]


_NO_LIMITS: Final = (None, None)


@final
class FlowControl:
    """Puts turnstiles before the handlers of a node that need one; the others keep the plain way."""

    def __init__(self, node: Node) -> None:
        """For the reactions that the node has by now."""
        self._node = node
        self._gates: dict[str, Gate] = {}
        self._turnstiles: dict[str, Turnstile] = {}
        self._kept: list[KeptRate] = []
        self.pauses = Pauses(node, self._paused)

    async def open(self) -> None:
        """Place the turnstiles and take over the pauses, before anything is offered."""
        node = self._node
        limits = {service.name: (service.concurrency, service.rate) for service in node.services}
        for reaction in node.reactions.values():
            if reaction.handler.flow is not None or limits.get(reaction.service, _NO_LIMITS) != _NO_LIMITS:
                self._place(reaction)
        declared = [reaction.handler.flow for reaction in node.reactions.values()]
        if any(flow is not None and (flow.priority is not None or flow.priority_by) for flow in declared):
            node.dispatcher.rank()
        for kept in self._kept:
            await kept.load()
        await self.pauses.load()

    def batching(self, reaction: Reaction) -> Batching | None:
        """What gathers for this handler, None if it takes single events."""
        turnstile = self._turnstiles.get(reaction.name)
        collector = None if turnstile is None else turnstile.collector
        return collector if isinstance(collector, Batching) else None

    @property
    def due_s(self) -> float | None:
        """When something that waits for a rate or a retry budget may go on, on the loop's clock."""
        ways: list[Gate | Turnstile] = [*self._gates.values(), *self._turnstiles.values()]
        return min((due for due in (way.due_s for way in ways) if due is not None), default=None)

    def _place(self, reaction: Reaction) -> Turnstile:
        gate = self._gates.get(reaction.service)
        if gate is None:
            service = next(each for each in self._node.services if each.name == reaction.service)
            gate = Gate(self._node.dispatcher.let, service.concurrency, service.rate)
            self._gates[reaction.service] = gate
            if (bucket := gate.bucket) is not None:
                gate.kept = self._keep(reaction.service, service.rate, lambda _, due_s: bucket.restore(due_s))
        flow = reaction.handler.flow
        turnstile = self._turnstiles[reaction.name] = Turnstile(reaction, gate, flow)
        if flow is not None:
            self._keep_rates(turnstile, flow)
        if flow is not None and flow.batch:
            turnstile.collector = Batching(self._node, reaction, flow)
        elif flow is not None and flow.debounce_s is not None:
            turnstile.collector = Debounce(self._node, flow)
        reaction.turnstile = turnstile
        return turnstile

    def _keep_rates(self, turnstile: Turnstile, flow: Flow) -> None:
        name, own, keyed = turnstile.reaction.name, turnstile.bucket, turnstile.keyed
        if own is not None:
            turnstile.kept = self._keep(name, flow.rate, lambda _, due_s: own.restore(due_s))
        if keyed is not None:
            turnstile.kept_by_key = self._keep(f"{name} per key", flow.rate_per_key, keyed.restore)

    def _keep(self, name: str, rate: Rate | None, restore: Callable[[str, float], None]) -> KeptRate | None:
        kept = kept_rate(self._node, name, rate, restore)
        if kept is not None:
            self._kept.append(kept)
        return kept

    def _paused(self, names: frozenset[str]) -> None:
        for reaction in self._node.reactions.values():
            is_paused = reaction.name in names or reaction.service in names
            turnstile = self._turnstiles.get(reaction.name)
            if turnstile is None and is_paused:
                turnstile = self._place(reaction)
                turnstile.paused = True
                while reaction.backlog:
                    turnstile.enter(reaction.backlog.popleft())
            if turnstile is not None and turnstile.paused != is_paused:
                self._set(reaction, turnstile, is_paused=is_paused)
        self._node.dispatcher.wake()

    def _set(self, reaction: Reaction, turnstile: Turnstile, *, is_paused: bool) -> None:
        turnstile.paused = is_paused
        if is_paused:
            return
        if not turnstile.is_plain:
            turnstile.gate.join(turnstile)
            turnstile.gate.advance()
            return
        reaction.turnstile = None
        del self._turnstiles[reaction.name]
        for delivery in turnstile.empty():
            self._node.dispatcher.offer(delivery)

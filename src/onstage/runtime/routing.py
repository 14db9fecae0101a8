"""Who gets what on a node: one route for each event type, one reaction for each handler that runs here.

Worked out once, when the store has given its numbers, so that the cost of an event does not grow with the number of
services or handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onstage.core.retry import HANDLER_RETRY, Retry
from onstage.runtime.delivery import Reaction
from onstage.runtime.emission import Route

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Mapping, Sequence

    from onstage.contracts.process import Process
    from onstage.contracts.service import Service
    from onstage.contracts.validation import Declared
    from onstage.ports.store import Opened
    from onstage.runtime.delivery import Delivery

__all__ = ["Routing", "generations", "routing_of", "source_of"]


class Routing(NamedTuple):
    """Routes by the name of their event type, and reactions by the number of their handler."""

    routes: dict[str, Route]
    reactions: dict[int, Reaction]


def routing_of(
    declared: Declared,
    services: Sequence[Service],
    processes: Sequence[Process],
    hosted: Collection[str],
    opened: Opened,
) -> Routing:
    """The routing on a store that was opened with these declarations; handlers that run elsewhere are left out."""
    starts = {known.name: process for process in processes for known in process.starts}
    routes = {
        known.name: Route(known, opened.types[known.name, known.version], starts.get(known.name))
        for known in declared.types
    }
    reactions: dict[int, Reaction] = {}
    for service in services:
        shared: dict[str, deque[Delivery] | None] = {}  # handlers that keep state take turns by key
        for handler in service.handlers if service.name in hosted else ():
            retry = handler.retry if isinstance(handler.retry, Retry) else HANDLER_RETRY
            reaction = Reaction(handler, opened.handlers[handler.full_name], retry)
            if handler.keeps_state:
                reaction.lanes = shared
            reactions[reaction.number] = reaction
            for name in declared.triggered[handler]:
                routes[name].triggers.append(reaction)
            for name in declared.waited[handler]:
                routes[name].waiters.append(reaction)
    generations(reactions, opened.handlers)
    return Routing(routes, reactions)


def source_of(services: Sequence[Service], name: str) -> str:
    """The CloudEvents source of the service with this name; for one of Onstage's own handlers, that of its doors."""
    return next((service.source for service in services if service.name == name), "//onstage/door")


def generations(reactions: dict[int, Reaction], handlers: Mapping[str, int]) -> None:
    """Add a reaction for each replay that the store knows of these handlers, under whatever name it began."""
    by_name = {name: each for each in tuple(reactions.values()) for name in (*each.handler.was, each.name)}
    for full_name, number in handlers.items():
        name, _, generation = full_name.rpartition("@")
        if name in by_name:
            base = by_name[name]
            reactions[number] = Reaction(base.handler, number, base.retry, generation=int(generation))

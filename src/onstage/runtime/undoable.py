"""Which processes of a node may be undone for an outcome or a rejection, as far as their declarations tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.runtime.undo_registry import undo_steps_of

if TYPE_CHECKING:
    from onstage.runtime.node import Node

__all__ = ["undoing_in"]


def undoing_in(node: Node) -> frozenset[str]:
    """The names of the processes whose failed outcomes have them undone.

    In one store the ledger tells whether anything was begun that can be undone. Apart nobody knows that of the others:
    there it is enough that the app has a step with an undo, or that it does not have the handlers of other services.
    """
    declared = frozenset(process.name for process in node.processes if process.undo)
    if node.exchange is None or all(service.name in node.hosted for service in node.services):
        return declared
    steps = undo_steps_of(handler.fn for service in node.services for handler in service.handlers)
    return declared if steps else frozenset()

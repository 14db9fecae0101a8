"""What a node brings along when it opens its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.events.delayed import LATER
from onstage.events.undoing_told import UNDO, UNDOING
from onstage.ports.store import Declaration

if TYPE_CHECKING:
    from onstage.runtime.node import Node

__all__ = ["declaration_of"]


def declaration_of(node: Node) -> Declaration:
    """The types, handlers and outcomes of this node's services, and those of Onstage's own."""
    hosted, is_whole = node.hosted, node.exchange is None
    return Declaration(
        types=(*((known.name, known.version) for known in node.types.values()), (LATER, 1), (UNDO, 1), (UNDOING, 1)),
        handlers=(
            *((handler.name, handler.was) for handler in node.manifest.handlers if handler.service in hosted),
            (LATER, ()),
            (UNDO, ()),
        ),
        outcomes={process.name: process.outcomes for process in node.processes},
        manifest=node.stored_manifest,
        tables=tuple(service.tables for service in node.services if service.tables and service.name in hosted),
        partial=not is_whole,
        undoing={
            process.name: frozenset(known.name for known in process.failed)
            for process in node.processes
            if process.name in node.waves.undoing
        },
    )

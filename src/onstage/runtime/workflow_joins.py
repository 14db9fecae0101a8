"""Events from outside for running workflows: one with the id of a workflow as its key joins that workflow's process.

Only events of a type that a workflow waits for are looked at, so that nobody else pays for a look into the store. A
workflow is found by the key of its process, which is the id that it was started under from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.errors import AmbiguousProcess
from onstage.events.answer import START_PREFIX, asked_name

if TYPE_CHECKING:
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node

__all__ = ["SAME_KEY_MAX", "workflow_joined"]

SAME_KEY_MAX: Final = 20
"""So many open processes with the key of an event are looked at, the newest first."""


async def workflow_joined(node: Node, route: Route, key: str | None, joined: int) -> int:
    """The process that an event from outside joins: that of a workflow with this id, else `joined`, 0 for a new one.

    Of several runs of one workflow it is the newest that is open. An event that begins a declared process joins none.
    Raises AmbiguousProcess if several workflows, or one and a declared process (`joined`), have this key and wait for
    this type.
    """
    if key is None or not route.waiters or route.starts is not None:
        return joined
    starts = {f"{START_PREFIX}{each.name}" for each in route.waiters if each.responding and each.responding.is_workflow}
    if not starts:
        return joined
    found: dict[str, int] = {}
    for row in await node.store.reader.processes(key=key, open_only=True, limit=SAME_KEY_MAX):
        root = await node.store.reader.event(row.id)
        if root is not None and root.type in starts:
            found.setdefault(root.type, row.id)
    if len(found) + bool(joined) > 1:
        names = " and ".join([*map(asked_name, found), *(["a declared process"] if joined else [])])
        raise AmbiguousProcess(
            f"{route.type.name} with key {key} fits {names}\n"
            "  why: each is open, has this key and knows this type\n  to do: say which with process=..."
        )
    return next(iter(found.values()), joined)

"""``state``: what a service keeps under a key, and what an execution shows of itself while it runs.

``cart = await state(Cart, key=e.cart_id)`` in a handler of that key reads a keyed state of its service.
``state["stage"] = "paid"`` in a handler or workflow is journaled, and read from outside with ``handle.state()``.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar, final

from onstage.runtime.call import Call
from onstage.runtime.entity import Entity, load
from onstage.runtime.live_state import show, shown

__all__ = ["Entity", "state"]

T = TypeVar("T")


@final
class _State:
    """What `state` is. A handler's source is recognised to keep state by a call of it.

    With brackets it is the live state of the execution that runs.
    """

    __onstage_state__ = True

    def __call__(self, type_: type[T], /, *, key: str, name: str | None = None) -> Call[Entity[T]]:
        """Read the state of this type under `key`; await it. `name` keeps its identity when the class is renamed.

        A state belongs to the handler's service. `value` is None if nothing is kept; `set` and `clear` change it in
        the same commit as the execution's next durable call or its end. Replay sees the value that was read first.
        Handlers of one service that keep state take turns by key, in the order of the log.

        Raises NotInExecution outside a handler, UsageError for a key that is not the execution's own, for a type that
        cannot be stored, or a value that no longer fits it.
        """
        return load(type_, key, name)

    def __setitem__(self, key: str, value: object) -> None:
        """Show `value` under `key` from here on; see `onstage.runtime.live_state`."""
        show(key, value)

    def __getitem__(self, key: str) -> Any:
        """What this execution shows under `key`. Raises KeyError if it has shown nothing there."""
        return shown(key)


state: Final = _State()
"""`await state(Cart, key=...)` for what is kept, `state["stage"] = "paid"` for what is shown."""

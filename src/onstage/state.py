"""Keyed state of a service: `cart = await state(Cart, key=e.cart_id)` in a handler of that key."""

from __future__ import annotations

from typing import Final, TypeVar, final

from onstage.runtime.call import Call
from onstage.runtime.entity import Entity, load

__all__ = ["Entity", "state"]

T = TypeVar("T")


@final
class _State:
    """What `state` is. A handler's source is recognised to keep state by a call of it."""

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


state: Final = _State()

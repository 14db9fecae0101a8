"""``state``: what an execution shows of itself while it runs.

``state["stage"] = "paid"`` inside a handler or workflow is journaled, and read from outside with ``handle.state()``.
"""

from __future__ import annotations

from typing import Any, Final, final

from onstage.runtime.live_state import show, shown

__all__ = ["state"]


@final
class _State:
    """The live state of the execution that runs."""

    def __setitem__(self, key: str, value: object) -> None:
        """Show `value` under `key` from here on; see `onstage.runtime.live_state`."""
        show(key, value)

    def __getitem__(self, key: str) -> Any:
        """What this execution shows under `key`. Raises KeyError if it has shown nothing there."""
        return shown(key)


state: Final = _State()
"""The live state: `state["stage"] = "paid"`."""

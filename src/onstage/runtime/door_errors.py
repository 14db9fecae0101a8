"""Errors that a node tells its clients: by name and text, and rebuilt as the class that the caller expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage import errors
from onstage.runtime.error_text import said

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["rebuilt", "told"]

_RAISED: Final[dict[str, Callable[[str], Exception]]] = {
    error.__name__: error
    for error in (
        errors.InvalidEvent,
        errors.DuplicateId,
        errors.AmbiguousProcess,
        errors.StoreUnavailable,
        errors.UsageError,
        LookupError,
    )
}


def told(error: Exception) -> tuple[str, str]:
    """The name and the text of an error."""
    return type(error).__name__, said(error)


def rebuilt(name: str, text: str) -> Exception:
    """The node's error, as the class the caller expects; anything else is a defect of the node."""
    return _RAISED.get(name, errors.OperationError)(text)

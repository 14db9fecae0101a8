"""How an error is stored and shown: every leaf of a group, and the innermost places of its traceback."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Final

__all__ = ["ERROR_BYTES_MAX", "error_text", "leaves", "said", "storable"]

ERROR_BYTES_MAX: Final = 8_192
PLACES: Final = 3
_ENGINE: Final = f"{Path(__file__).parents[1]}{os.sep}"
"""What lies in this folder is Onstage itself, and no place where anybody would look for their error."""

_EXPLAINED: Final = (SyntaxError, NameError, AttributeError, ImportError)
"""Errors of which the traceback module says more than they do themselves."""


def error_text(error: BaseException) -> str:
    """The error as it is stored: its type, its text and the innermost lines of its traceback, within the limit.

    Lines of the engine are left out, unless there are no others.
    """
    lines = [line for leaf in leaves(error) for line in _last_lines(leaf)]
    codes = [(frame.f_code, line) for frame, line in traceback.walk_tb(leaves(error)[0].__traceback__)]
    own = [(code, line) for code, line in codes if not code.co_filename.startswith(_ENGINE)] or codes
    places = [f"  at {code.co_filename}:{line} in {code.co_name}\n" for code, line in own[: -PLACES - 1 : -1]]
    return storable("".join([*lines, *places]).strip())


def _last_lines(error: BaseException) -> list[str]:
    """What `traceback.format_exception_only` says, which also works out the tracebacks of all causes, for nothing."""
    kind = type(error)
    if isinstance(error, _EXPLAINED) or hasattr(error, "__notes__"):
        return traceback.format_exception_only(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  its own `__str__` failed
        return traceback.format_exception_only(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    return [f"{name}: {text}\n" if text else f"{name}\n"]


def said(error: BaseException) -> str:
    """What an error says, storable; its type if it cannot say anything."""
    try:
        return storable(str(error))
    except Exception:  # noqa: BLE001  its own `__str__` failed
        return type(error).__name__


def storable(text: str) -> str:
    """The text as UTF-8 can carry it, at most `ERROR_BYTES_MAX` bytes of it.

    Half a surrogate pair becomes an escape: the error about a file whose name is not UTF-8 has one, and a commit that
    holds it could never be written.
    """
    body = text[:ERROR_BYTES_MAX].encode(errors="backslashreplace")
    return body[:ERROR_BYTES_MAX].decode(errors="ignore")


def leaves(error: BaseException) -> list[BaseException]:
    """The single errors in an exception group, however deep; an error that is no group is its own leaf."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in leaves(part)]

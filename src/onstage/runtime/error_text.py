"""How an error is stored and shown: every leaf of a group, and the innermost places of its traceback."""

from __future__ import annotations

import traceback
from collections import deque
from typing import Final

__all__ = ["ERROR_BYTES_MAX", "error_text", "leaves", "said", "storable"]

ERROR_BYTES_MAX: Final = 8_192
PLACES: Final = 3


def error_text(error: BaseException) -> str:
    """The error as it is stored: its type, its text and the innermost lines of its traceback, within the limit."""
    lines = [line for leaf in leaves(error) for line in traceback.format_exception_only(leaf)]
    frames = deque(traceback.walk_tb(leaves(error)[0].__traceback__), maxlen=PLACES)
    codes = [(frame.f_code, line) for frame, line in reversed(frames)]
    places = [f"  at {code.co_filename}:{line} in {code.co_name}\n" for code, line in codes]
    return storable("".join([*lines, *places]).strip())


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

"""How an error is stored and shown: every leaf of a group, and the innermost places of its traceback."""

from __future__ import annotations

import traceback
from typing import Final

__all__ = ["ERROR_BYTES_MAX", "error_text", "leaves"]

ERROR_BYTES_MAX: Final = 8_192


def error_text(error: BaseException) -> str:
    """The error as it is stored: its type, its text and the innermost lines of its traceback, within the limit."""
    lines = [line for leaf in leaves(error) for line in traceback.format_exception_only(leaf)]
    frames = traceback.extract_tb(leaves(error)[0].__traceback__)[-3:]
    places = [f"  at {f.filename}:{f.lineno} in {f.name}\n" for f in reversed(frames)]
    return "".join([*lines, *places]).strip()[:ERROR_BYTES_MAX]


def leaves(error: BaseException) -> list[BaseException]:
    """The single errors in an exception group, however deep; an error that is no group is its own leaf."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in leaves(part)]

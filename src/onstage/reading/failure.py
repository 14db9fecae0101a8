"""What is told when somebody cannot be shown what they asked for: what, why, what to do; and exit codes."""

from __future__ import annotations

from enum import IntEnum
from typing import final

__all__ = ["Exit", "Failure"]


@final
class Exit(IntEnum):
    """What a command's exit code means."""

    OK = 0
    FOUND = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


@final
class Failure(Exception):
    """A command cannot go on: what happened, why, and what to do, each in one line."""

    def __init__(self, what: str, why: str, mend: str, *, code: Exit = Exit.FOUND) -> None:
        """Keep the three parts and the exit code."""
        super().__init__(what, why, mend)
        self.what, self.why, self.mend, self.code = what, why, mend, code

    def __str__(self) -> str:
        """The three lines."""
        return f"{self.what}\n  why: {self.why}\n  to do: {self.mend}"

"""A branch while it runs: its task, what it is doing, and who waits for its end.

What a branch does is weighed, so that it is known when an execution can go no further and parks. A branch weighs one
while it runs code of the user's or is in a durable call of its own, and nothing while it waits for other branches, or
for calls it gave to tasks of its own (those weigh one each).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, final

__all__ = ["BRANCH", "Branch", "Join"]


@final
class Join:
    """Somebody waits until so many of the branches have ended."""

    __slots__ = ("by", "future", "is_own", "left")

    def __init__(self, by: Branch, left: int, *, is_own: bool) -> None:
        """`by` is the branch that waits: its own code, or a task of the user's in it."""
        self.by = by
        self.left = left
        self.is_own = is_own
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()


@final
class Branch:
    """One branch of a running execution. The handler's own is one as well, as soon as there are others.

    `path` is what the positions of its calls begin with, `root` the path it was opened with (a scope makes it longer).
    `calls` counts its own durable calls under way, `aside` those of tasks of the user's, `joining` how often it waits
    for others. A `stopped` branch makes no new call; a `lost` one has lost its race for good. `aborted` counts the
    scopes around it that a rejection has ended in an earlier run: branches opened in them are stopped from the start.
    While `shielded` is not 0, a request to cancel waits; a branch that was opened in such a section stays so. What led
    to a `cleared` one, which is one call, was durable before it began.
    """

    __slots__ = (
        "aborted",
        "aside",
        "blocked",
        "calls",
        "children",
        "cleared",
        "ended",
        "error",
        "joining",
        "joins",
        "lost",
        "on_end",
        "path",
        "root",
        "runs_code",
        "seen",
        "shielded",
        "started",
        "stopped",
        "task",
        "value",
        "weight",
    )

    def __init__(self, path: str, *, runs_code: bool = True) -> None:
        """A branch that has not begun. Without `runs_code` it is one made call."""
        self.path = self.root = path
        self.runs_code = runs_code
        self.task: asyncio.Task[Any] | None = None
        self.aborted = self.calls = self.aside = self.joining = self.shielded = self.weight = 0
        self.started = self.ended = self.stopped = self.lost = self.seen = self.cleared = False
        self.blocked: dict[asyncio.Future[None], None] = {}
        self.children: list[Branch] = []
        self.joins: Sequence[Join] = ()
        self.on_end: Callable[[Branch], None] | None = None
        self.value: Any = None
        self.error: BaseException | None = None

    def weigh(self) -> int:
        """What it weighs now; answers by how much that is more than before."""
        before = self.weight
        self.weight = 1 if self.calls else 0 if self.ended or self.aside or self.joining else 1
        return self.weight - before


BRANCH: Final[ContextVar[Branch | None]] = ContextVar("onstage_branch", default=None)

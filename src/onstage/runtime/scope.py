"""Sections of a handler: `scope`, which a rejection aborts and undoes alone, and `shield`, in which a cancel waits."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

from onstage.core.branches import branch_path
from onstage.core.journal import ScopeRejected
from onstage.errors import Reject, UsageError
from onstage.runtime.call import calling_frame
from onstage.runtime.cancelling import pass_on
from onstage.runtime.error_text import leaves
from onstage.runtime.undo import undo_steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from onstage.runtime.branch import Branch
    from onstage.runtime.frame import Frame

__all__ = ["scope", "shield"]


@final
class scope:  # noqa: N801  a context manager, read as a word
    """A scope of cancellation: `async with scope("hotel") as hotel:`.

    A `Reject` inside ends the innermost scope and not the execution: branches that were spawned in it are stopped, the
    finished steps in it are undone, the last one first, and the handler goes on after the block with `hotel.rejected`
    set. Any other exception passes and undoes nothing. The scope does not end before the branches that were spawned in
    it. What was emitted inside is not taken back. Outside an execution it only catches the rejection.

    Raises UsageError for a name that is empty or has `/` or `#` in it.
    """

    def __init__(self, name: str) -> None:
        """Name it: its name is part of the positions of the calls in it."""
        if not name or set(name) & set("/#"):
            raise UsageError(
                f"scope was given the name {name!r}\n  why: it is part of the positions of the calls in it\n"
                "  to do: give it a name without / and #"
            )
        self.name = name
        self.rejected: Reject | None = None
        self._frame: Frame | None = None

    async def __aenter__(self) -> scope:
        """Begin it: calls made from here on belong to it."""
        frame = self._frame = calling_frame(f"scope {self.name}")
        if frame is not None:
            self._position = frame.execution.make(f"scope {self.name}")
            self._branch = branch = frame.fork()
            self._outer, branch.path = branch.path, branch_path(self._position, 0)
            frame.execution.open(branch.path, self._outer)
            self._was_rejected = isinstance(frame.execution.at(self._position), ScopeRejected)
            branch.aborted += self._was_rejected
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End it; a rejection ends here, after what it undoes."""
        rejected = _rejection(error)
        if self._frame is None:
            self.rejected = rejected
            return rejected is not None
        return await self._end(self._frame, self._branch, error, rejected)

    async def _end(self, frame: Frame, branch: Branch, error: BaseException | None, rejected: Reject | None) -> bool:
        path = branch.path
        try:
            if frame.parked is not None or frame.closed or (branch.stopped and not self._was_rejected):
                return False
            spawned = [each for each in frame.spawned or () if each.root.startswith(path) and not each.lost]
            if error is None:
                rejected = await self._joined(frame, spawned)
            if rejected is None:
                return False
            for each in spawned:
                frame.stop(each)
                each.seen = True
            await frame.join(spawned)
            if not self._was_rejected:
                frame.driver.tell(frame, ScopeRejected(self._position, rejected.reason))
            for each in spawned:
                frame.execution.join(each.root, path)
            frame.execution.pass_by(path)
            await undo_steps(frame, path)
        finally:
            frame.execution.join(path, self._outer)
            branch.path = self._outer
            branch.aborted -= self._was_rejected
        self.rejected = rejected
        return True

    async def _joined(self, frame: Frame, spawned: list[Branch]) -> Reject | None:
        """Wait for what was spawned in it. A failure that nobody has awaited is raised, a rejection is answered."""
        await frame.join(spawned)
        frame.leave_if_stopped()
        for each in spawned:
            if each.error is None or each.seen:
                continue
            each.seen = True
            frame.execution.join(each.root, self._branch.path)
            rejected = _rejection(each.error)
            if rejected is None:
                pass_on(frame, each.error, self._branch)
                raise each.error
            return rejected
        missing = frame.execution.missing(self._branch.path)
        if missing is not None:
            frame.diverge(missing)
        return None


def _rejection(error: BaseException | None) -> Reject | None:
    if isinstance(error, BaseExceptionGroup) and (rejected := error.subgroup(Reject)) is not None:
        error = leaves(rejected)[0]
    return error if isinstance(error, Reject) else None


@asynccontextmanager
async def shield() -> AsyncIterator[None]:
    """Make a section in which a request to cancel waits: it is raised at the first durable call after the section.

    It holds for the branch that makes it, and for branches that are opened in it.
    """
    frame = calling_frame("shield")
    if frame is None:
        yield
        return
    branch = frame.here()
    holder = frame if branch is None or branch is frame.main else branch
    holder.shielded += 1
    try:
        yield
    finally:
        holder.shielded -= 1

"""Bugs planted behind a second mechanism, and the traps of settings, of cancellation and of claims."""

import asyncio
from typing import Any

import apsw
import pytest
from tests.planted.store_bugs import open_writer_with

from onstage.cli import doctor
from onstage.core.commit import Commit
from onstage.core.execution import Execution
from onstage.events.receipt import OPEN_MAX
from onstage.runtime import attempts
from onstage.runtime.admission import Admission
from onstage.runtime.node import Node
from onstage.runtime.recovery import Recovery
from onstage.runtime.reloading import Reloading
from onstage.stores.batch import Batch
from onstage.stores.sqlite import connection

Patch = pytest.MonkeyPatch


def last_entries_lost(patch: Patch) -> None:
    """What the last run of an execution has recorded is not written."""
    plain = Batch._settle

    def settle(self: Batch, commit: Commit) -> None:
        if commit.status > OPEN_MAX:
            commit.entries = ()
        plain(self, commit)

    patch.setattr(Batch, "_settle", settle)


def entry_lost(patch: Patch) -> None:
    """Of several entries of one commit the last is not written."""
    plain = Batch._settle

    def settle(self: Batch, commit: Commit) -> None:
        if len(commit.entries) > 1:
            commit.entries = commit.entries[:-1]
        plain(self, commit)

    patch.setattr(Batch, "_settle", settle)


def entry_lost_unnoticed(patch: Patch) -> None:
    """The same, and no commit is compared with the length of the journal."""
    entry_lost(patch)
    patch.setattr(Batch, "_conflict", lambda *_: None)


def answer_never_given(patch: Patch) -> None:
    """Whoever sends an event whose id is known waits for ever."""
    plain, never = Admission.stored, list[asyncio.Future[None]]()

    async def stored(self: Admission, admitted: Any) -> int:
        if not admitted[1]:
            never.append(asyncio.get_running_loop().create_future())  # it lasts as long as who waits for it
            await never[-1]
        return await plain(self, admitted)

    patch.setattr(Admission, "stored", stored)


def wakeup_lost(patch: Patch) -> None:
    """Mail that comes while its execution runs wakes nobody."""

    def nudge(self: Node, delivery: Any, position: int) -> None:
        delivery.after = max(delivery.after, position)
        if delivery.parked:
            self.unpark(delivery)

    patch.setattr(Node, "nudge", nudge)


def refused_work_forgotten(patch: Patch) -> None:
    """An execution whose commit was refused is not looked at again."""

    async def reload(self: Reloading, delivery: Any) -> None:
        self._reloading.discard(delivery.id)

    patch.setattr(Reloading, "_reload", reload)


def refusal_ignored(patch: Patch) -> None:
    """Who claims an execution goes on although the claim changed nothing: a refusal tells nobody."""

    def fell(self: Reloading, refusal: Any) -> None:
        for root in refusal.commit.roots:
            self._node.admission.closed(root.process)

    patch.setattr(Reloading, "fell", fell)


def claim_not_checked(patch: Patch) -> None:
    """A commit on an execution that has ended is written."""
    plain = Batch._conflict

    def conflict(self: Batch, commit: Commit) -> Any:
        row = self._row(commit.execution)
        if isinstance(row, tuple) and row[2] > OPEN_MAX:
            return None
        return plain(self, commit)

    patch.setattr(Batch, "_conflict", conflict)


def begun_mark_left_out(patch: Patch) -> None:
    """A step with an undo begins without the mark that it may have happened."""
    plain = Execution.tell

    def tell(self: Execution, entry: Any) -> None:
        if type(entry).__name__ != "Begun":
            plain(self, entry)

    patch.setattr(Execution, "tell", tell)


def result_guessed(patch: Patch) -> None:
    """The handler goes on with something else than what is recorded."""
    plain = attempts._as_recorded

    def guessed(durable: Any, result: Any) -> tuple[bytes, Any]:
        data, answer = plain(durable, result)
        return data, result if answer == result else f"{answer}, perhaps"

    patch.setattr(attempts, "_as_recorded", guessed)


def retry_in_a_branch_forgotten(patch: Patch) -> None:
    """That a call runs in a branch is not told: the failure of another one counts as gone past."""
    plain = Execution.ask
    patch.setattr(Execution, "ask", lambda self, position, request, now_ms, **_: plain(self, position, request, now_ms))


def sweep_left_out(patch: Patch) -> None:
    """Stranded work is looked for at the start only."""

    async def sweep(_: Recovery) -> int:
        return 0

    patch.setattr(Recovery, "sweep", sweep)


def cancellation_swallowed(patch: Patch) -> None:
    """A step is limited as `asyncio.wait_for` of Python 3.11 does it: what is done in time hides a cancellation."""

    async def run_function(step: Any, frame: Any, position: str, arguments: tuple[Any, ...]) -> Any:
        mark = attempts.INSIDE_STEP.set((frame, position))
        try:
            return await _wait_for(step.run(*arguments))
        finally:
            attempts.INSIDE_STEP.reset(mark)

    patch.setitem(Node.__init__.__kwdefaults__, "invoke", run_function)


async def _wait_for(work: Any) -> Any:
    future = asyncio.ensure_future(work)
    try:
        await asyncio.wait([future])
    except asyncio.CancelledError:
        if not future.done():
            future.cancel()
            raise
    return future.result()


def file_mapped(patch: Patch) -> None:
    """The writer reads through a map of the file."""
    open_writer_with(patch, "mmap_size = 268435456")


def readers_checkpoint(patch: Patch) -> None:
    """A connection for queries can write, and so resets the log when it is the last to close."""

    def open_reader(path: Any, vfs: str | None = None) -> apsw.Connection:
        try:
            return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        except apsw.Error as error:
            raise connection.unavailable(path, error) from error

    patch.setattr(connection, "open_reader", open_reader)


def doctor_silent(patch: Patch) -> None:
    """The doctor finds every SQLite well."""
    patch.setattr(doctor, "has_wal_bug", lambda _: False)

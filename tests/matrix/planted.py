"""Planted bugs: changes to the engine after which a promise does not hold, each with deaths that show it."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.matrix import matrix_app
from tests.matrix.points import Cell

from onstage.core.commit import Door
from onstage.runtime import admission, attempts
from onstage.runtime.driver import Driver
from onstage.runtime.frame import Frame
from onstage.stores.sqlite.reader import SqliteReader
from onstage.stores.sqlite.writer import Writer

SLOW_S = 0.02


@dataclass(frozen=True)
class Planted:
    """A bug: what it does to the code, where to look for it, and how the witness's complaint begins."""

    change: Callable[[], None]
    point: str
    complaint: str
    hits: tuple[int, ...] = tuple(range(1, 13))

    @property
    def cells(self) -> list[Cell]:
        """The deaths that are tried, in this order, until one shows the bug."""
        return [Cell(self.point, hit) for hit in self.hits]


def _slow_disk(first: Callable[[Writer, Any], None] = lambda *_: None) -> None:
    """Let time pass before each COMMIT, so that what does not wait for it is seen to go on."""
    persist = Writer._persist  # noqa: SLF001

    def slow(self: Writer, batch: Any) -> None:
        persist(self, batch)
        first(self, batch)
        time.sleep(SLOW_S)

    Writer._persist = slow  # type: ignore[method-assign]  # noqa: SLF001


def acknowledge_before_commit() -> None:
    """The report goes to the loop while the transaction is still open."""

    def report(self: Writer, batch: Any) -> None:
        self._workers.post(lambda: self._report(batch.outcome()))

    _slow_disk(report)


def skip_the_barrier() -> None:
    """Steps run before what led to them is durable."""

    async def barrier(self: Frame) -> None:
        await asyncio.sleep(0)

    Frame.barrier = barrier  # type: ignore[method-assign]
    _slow_disk()


def commit_in_halves() -> None:
    """Rows of one batch in two transactions."""
    from onstage.stores.sqlite import writer

    insert_many = writer.insert_many

    def insert(db: Any, name: str, rows: Any) -> None:
        insert_many(db, name, rows)
        if name == "update_execution":
            db.execute("COMMIT -- engine")
            db.execute("BEGIN IMMEDIATE -- engine")

    writer.insert_many = insert


def draw_another_key() -> None:
    """The idempotency key is not the same in the next process."""
    plain = matrix_app.idempotency_key
    matrix_app.idempotency_key = lambda: f"{plain()}-{os.getpid()}"


def forget_the_door() -> None:
    """An id from outside is not recognised when it comes again."""
    admission.door_of = lambda *_: Door(os.urandom(16), os.urandom(16), 0)


def run_before_asking() -> None:
    """A step runs, and then the journal is asked whether it has to."""
    plain = attempts.perform_step

    async def perform(step: Any, frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
        await frame.barrier()
        await attempts.run_function(step, frame, position, arguments)
        return await plain(step, frame, position, arguments)

    Driver.perform_step = staticmethod(perform)


def guess_the_result() -> None:
    """The handler goes on with something else than what is recorded."""
    plain = attempts._as_recorded  # noqa: SLF001

    def guessed(durable: Any, result: Any) -> tuple[bytes, Any]:
        data, answer = plain(durable, result)
        return data, answer and "guessed"

    attempts._as_recorded = guessed  # noqa: SLF001


def recover_backwards() -> None:
    """What is open is taken up in the wrong order."""
    plain = SqliteReader.executions

    async def executions(self: SqliteReader, **options: Any) -> Any:
        return list(reversed(await plain(self, **options)))

    SqliteReader.executions = executions  # type: ignore[method-assign]


PLANTED = [
    Planted(acknowledge_before_commit, "before sql: commit", "lost", hits=tuple(range(4, 13))),
    Planted(skip_the_barrier, "before sql: commit", "early"),
    Planted(commit_in_halves, "before sql: insert_entry", "unsound: [('I13'"),
    Planted(draw_another_key, "after attempts.run_function", "keys"),
    Planted(forget_the_door, "after Admission.stored", "doubled"),
    Planted(run_before_asking, "before sql: insert matrix_ledger", "repeated"),
    Planted(guess_the_result, "after Node.close", "results"),
    Planted(recover_backwards, "after attempts.run_function", "order"),
]

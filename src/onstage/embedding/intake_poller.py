"""Moves rows of the intake table into the engine, in their order.

Theory of operation. A row is read, admitted at the door under its id, and removed when the event is durable. Whoever
dies in between leaves a row whose identity the door knows: it is recognised, and only removed. Rows are looked for, all
that are there, not those behind a number: numbers are given out when a row is written, and a transaction that began
early may commit late. What the engine refuses for good is set aside with the reason; what follows goes on.

It polls, and never listens: a NOTIFY in the user's transaction would take a lock of the whole database at its commit.
It pauses longer the longer nothing comes, and is told by `emit_in` of the same process that something will.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from onstage.errors import StoreUnavailable
from onstage.ports.telemetry import Family, Sample
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from onstage.embedding.intake_database import IntakeDatabase
    from onstage.embedding.intake_row import IntakeRow

__all__ = ["PAUSE_S", "PAUSE_S_MAX", "ROWS_AT_ONCE", "IntakePoller"]

ROWS_AT_ONCE: Final = 500
"""How many rows are read, admitted and removed together."""
PAUSE_S: Final = 0.02
"""The first pause after a row was found, or was said to come."""
PAUSE_S_MAX: Final = 1.0
"""The longest pause: an event that another process puts into a quiet table waits this long at most."""
TROUBLE_S_MAX: Final = 10.0
"""The longest pause while the database does not answer."""
log = logging.getLogger("onstage.intake")

Admit = Callable[[Sequence["IntakeRow"]], Awaitable[Sequence[Exception | None]]]


@final
class IntakePoller:
    """Takes in one table, for one node. Everything happens on the node's loop but the database itself."""

    def __init__(self, database: IntakeDatabase, admit: Admit) -> None:
        """`admit` makes rows durable, in order, and answers for each what refused it; fewer answers: not all were."""
        self._database = database
        self._admit = admit
        self._hinted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        self._prepared = False
        self._taken = 0
        self._refused = 0

    async def start(self) -> None:
        """Make the table, if the database answers, and begin to look for rows, on the running loop."""
        try:
            await self._database.prepare()
            self._prepared = True
        except Exception as error:  # noqa: BLE001  a driver may raise anything; it is tried again
            self._say(error)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def hint(self) -> None:
        """A row is on its way: look often for a while. To be called on the loop."""
        self._hinted.set()

    async def close(self) -> None:
        """Take in no more; what is under way is removed by the next one."""
        await end_tasks(self._task)
        await self._database.close()

    def families(self) -> list[Family]:
        """Its metrics."""
        outcomes = (("taken", self._taken), ("refused", self._refused))
        samples = [Sample(count, (("outcome", outcome),), "_total") for outcome, count in outcomes]
        trouble = Sample(int(self._trouble is not None))
        return [
            Family("onstage_intake_rows", "counter", "Rows of the intake table, by what became of them.", samples),
            Family("onstage_intake_in_trouble", "gauge", "Whether its database does not answer.", [trouble]),
        ]

    async def _run(self) -> None:
        pause = PAUSE_S
        while True:
            try:
                if not self._prepared:
                    await self._database.prepare()
                    self._prepared = True
                taken = await self.take()
            except Exception as error:  # noqa: BLE001  a driver may raise anything, and the next attempt may succeed
                self._say(error)
                pause = await self._pause(min(max(pause, PAUSE_S_MAX) * 2, TROUBLE_S_MAX))
                continue
            self._say(None)
            if taken == ROWS_AT_ONCE:
                continue
            pause = await self._pause(PAUSE_S if taken else min(2 * pause, PAUSE_S_MAX))

    async def _pause(self, pause: float) -> float:
        """Wait so long, or until a hint; answers how long the pause was, the shortest after a hint."""
        self._hinted.clear()
        try:
            async with asyncio.timeout(pause):
                await self._hinted.wait()
        except TimeoutError:
            return pause
        await asyncio.sleep(PAUSE_S)  # the hint comes before the commit
        return PAUSE_S

    async def take(self) -> int:
        """Take in what is there, at most `ROWS_AT_ONCE` rows; answers how many were dealt with.

        Raises StoreUnavailable, and what the database's driver raises; then the rest is still there.
        """
        rows = await self._database.waiting(ROWS_AT_ONCE)
        if not rows:
            return 0
        answers = await self._admit(rows)
        dealt_with = list(zip(rows, answers, strict=False))
        taken = [row.n for row, refused in dealt_with if refused is None]
        await self._database.remove(taken)
        self._taken += len(taken)
        for row, refused in dealt_with:
            if refused is not None:
                await self._set_aside(row, refused)
        if len(answers) < len(rows):
            raise StoreUnavailable("the store took only a part")
        return len(rows)

    async def _set_aside(self, row: IntakeRow, refused: Exception) -> None:
        log.error("row %s of the intake table (%s, id %s) is refused: %s", row.n, row.type, row.id, refused)
        await self._database.refuse(row.n, str(refused))
        self._refused += 1

    def _say(self, error: Any) -> None:
        if (error is None) != (self._trouble is None):
            log.log(
                logging.WARNING if error is not None else logging.INFO,
                "the intake %s",
                "works again" if error is None else f"does not work at present, it is tried again: {error}",
            )
        self._trouble = None if error is None else str(error)

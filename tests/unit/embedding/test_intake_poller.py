"""Rows move into the engine in order, once: past a crash between taking and removing, past rows that are refused."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from onstage.embedding.intake_database import IntakeDatabase
from onstage.embedding.intake_poller import PAUSE_S, PAUSE_S_MAX, ROWS_AT_ONCE, IntakePoller
from onstage.embedding.intake_row import IntakeRow
from onstage.errors import InvalidEvent, StoreUnavailable
from onstage.testing.virtual_loop import VirtualLoop


class Rows:
    """A table in memory that can fail."""

    def __init__(self, count: int = 0) -> None:
        self.rows = {n: IntakeRow(n, f"id{n}", "t", "{}") for n in range(1, count + 1)}
        self.refused: dict[int, str] = {}
        self.looked: list[float] = []
        self.fails: list[Exception] = []

    async def prepare(self) -> None:
        return

    async def waiting(self, limit: int) -> list[IntakeRow]:
        self.looked.append(asyncio.get_running_loop().time())
        if self.fails:
            raise self.fails.pop()
        return [row for n, row in sorted(self.rows.items()) if n not in self.refused][:limit]

    async def remove(self, numbers: Sequence[int]) -> None:
        for n in numbers:
            del self.rows[n]

    async def refuse(self, n: int, why: str) -> None:
        self.refused[n] = why

    async def close(self) -> None:
        return


class Door:
    """Takes rows by identity, once each."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refuses: dict[str, Exception] = {}
        self.takes = ROWS_AT_ONCE

    async def admit(self, rows: Sequence[IntakeRow]) -> list[Exception | None]:
        answers: list[Exception | None] = []
        for row in rows[: self.takes]:
            answers.append(self.refuses.get(row.id))
            if answers[-1] is None and row.id not in self.taken:
                self.taken.append(row.id)
        return answers


def poller(rows: Rows, door: Door) -> IntakePoller:
    return IntakePoller(cast("IntakeDatabase", rows), door.admit)


def counted(poller: IntakePoller) -> list[Any]:
    return [sample.value for family in poller.families() for sample in family.samples]


def test_rows_are_taken_in_order_and_removed() -> None:
    rows, door = Rows(3), Door()
    assert asyncio.run(poller(rows, door).take()) == 3
    assert (door.taken, rows.rows) == (["id1", "id2", "id3"], {})


def test_a_row_whose_removal_was_lost_is_recognised_and_removed() -> None:
    rows, door = Rows(2), Door()
    kept = dict(rows.rows)
    asyncio.run(poller(rows, door).take())
    rows.rows = kept  # the node died after the event was durable and before the row was removed
    asyncio.run(poller(rows, door).take())
    assert (door.taken, rows.rows) == (["id1", "id2"], {})


def test_what_is_refused_is_set_aside_with_the_reason_and_the_rest_goes_on() -> None:
    rows, door = Rows(3), Door()
    door.refuses["id2"] = InvalidEvent("no such type")
    moving = poller(rows, door)
    asyncio.run(moving.take())
    assert (door.taken, rows.refused, list(rows.rows)) == (["id1", "id3"], {2: "no such type"}, [2])
    assert counted(moving) == [2, 1, 0]


def test_what_the_store_did_not_come_to_stays() -> None:
    rows, door = Rows(3), Door()
    door.takes = 1
    with pytest.raises(StoreUnavailable):
        asyncio.run(poller(rows, door).take())
    assert (door.taken, list(rows.rows)) == (["id1"], [2, 3])


def test_it_looks_less_and_less_often_until_a_hint_comes() -> None:
    rows, door = Rows(), Door()

    async def work() -> None:
        moving = poller(rows, door)
        await moving.start()
        await asyncio.sleep(60)
        quiet = len(rows.looked)
        assert 60 <= quiet <= 70
        moving.hint()
        rows.rows[1] = IntakeRow(1, "late", "t", "{}")
        await asyncio.sleep(3 * PAUSE_S)
        assert door.taken == ["late"]
        await moving.close()

    in_virtual_time(work)
    pauses = [later - earlier for earlier, later in zip(rows.looked, rows.looked[1:], strict=False)]
    assert max(pauses) <= PAUSE_S_MAX + 0.001


def test_a_database_that_is_away_is_tried_again_and_counts_as_trouble() -> None:
    rows, door = Rows(1), Door()
    rows.fails = [OSError("away"), OSError("away")]

    async def work() -> None:
        moving = poller(rows, door)
        await moving.start()
        await asyncio.sleep(0.5)
        assert counted(moving) == [0, 0, 1]
        await asyncio.sleep(30)
        assert (door.taken, counted(moving)) == (["id1"], [1, 0, 0])
        await moving.close()

    in_virtual_time(work)


def in_virtual_time(work: Any) -> None:
    loop = VirtualLoop()
    task = loop.create_task(work())
    loop.run_to(1_000)
    task.result()
    loop.close()

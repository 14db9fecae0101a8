"""What the ledger costs on disk: obligations that are opened and closed within one batch touch no row of it."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import apsw
from tests.unit.runtime.playhouse import playing

from onstage import Service, event, step

LENGTH = 10
WRITTEN = {apsw.SQLITE_INSERT: "insert", apsw.SQLITE_UPDATE: "update", apsw.SQLITE_DELETE: "delete"}


@event("link", key="key")
@dataclass(frozen=True)
class Link:
    key: str
    n: int


@step
async def touch() -> None: ...


def chain(*, waits: bool) -> Service:
    """A chain of so many hops; if it `waits`, each hop is on disk before the next."""
    service = Service("chain")

    @service.on(Link, lane="until-end")
    async def pass_on(e: Link) -> Link | None:
        if waits:
            await touch()
        return Link(f"{e.key}+", e.n + 1) if e.n < LENGTH else None

    return service


async def rows_touched(path: Path, *, waits: bool) -> tuple[Counter[tuple[str, str]], int]:
    """How often rows of each table are written while one process runs, and in how many batches."""
    counted: Counter[tuple[str, str]] = Counter()
    async with playing(chain(waits=waits), on=path) as house:
        writer = house.node.store._writer  # type: ignore[attr-defined]  # noqa: SLF001 - what reaches the disk is counted

        def wrote(kind: int, _: str, table: str, __: int) -> None:
            counted[table.removeprefix("onstage_"), WRITTEN[kind]] += 1

        before = house.node.store.statistics()["batches"]
        writer.connection.set_update_hook(wrote)
        await house.settled(Link("a", 1))
        batches = house.node.store.statistics()["batches"] - before
        writer.connection.set_update_hook(None)
    return counted, batches


def test_what_is_opened_and_closed_within_one_batch_touches_no_row_of_the_ledger(tmp_path: Path) -> None:
    counted, batches = asyncio.run(rows_touched(tmp_path / "one.db", waits=False))
    assert batches == 1
    ledger = {where: times for where, times in counted.items() if where[0] in ("process", "execution")}
    # Each execution is written once, as it ended; the process once, with nothing open and a digest of zero.
    assert ledger == {("execution", "insert"): LENGTH, ("process", "insert"): 1}
    assert counted["event", "insert"] == LENGTH


def test_what_stays_open_over_a_batch_does(tmp_path: Path) -> None:
    counted, batches = asyncio.run(rows_touched(tmp_path / "many.db", waits=True))
    assert batches > 1
    assert counted["execution", "update"] + counted["process", "update"] >= LENGTH

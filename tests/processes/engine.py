"""Random processes through the real engine on SQLite, against a count of what the application's events oblige to.

After every batch that becomes durable the ledger's rows are looked at. What they must say at that moment is counted
from the events and settlements up to there, and from the table of subscriptions that the test has written down.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch

import apsw
from tests.processes.town import OWED, made, planned, touch, town

from onstage.core.commit import event_of
from onstage.events.receipt import OPEN_MAX, Status, decode_receipts
from onstage.observe.ledger import Ledger
from onstage.testing import Sim
from onstage.testing.checks.exported_receipts import Exported, exported, fold_into
from onstage.testing.checks.stored_file import StoredFile
from onstage.testing.sim_world import World

CRASHES, DUPLICATES, REORDERED = 0.05, 0.2, 0.1
EACH = 20  # processes of one world
APPS = {version: town(version) for version in OWED}


@dataclass
class Seen:
    """What the ledger's rows said after one batch: by process, how many are open, and whether the digest is zero."""

    position: int
    rows: dict[int, tuple[int, bool]]


@dataclass
class Tally:
    """What came of many worlds."""

    processes: int = 0
    executions: int = 0
    kills: int = 0
    looks: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in the figures of further worlds."""
        self.wrong += other.wrong
        self.statuses.update(other.statuses)
        for name in ("processes", "executions", "kills", "looks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        """In one line."""
        did = f"{self.processes:,} processes of {self.executions:,} executions, {self.kills:,} crashes"
        return f"{did}, {self.looks:,} looks at the rows: {len(self.wrong)} wrong"


async def play(seed: int) -> tuple[Tally, list[str]]:
    """One world of processes; answers its figures, and what was wrong."""
    random, seen = Random(seed), list[Seen]()
    plain = World._at_boundary

    def watched(world: World, phase: str) -> None:
        if phase == "after":
            seen.append(look(world))
        plain(world, phase)

    with patch.object(World, "_at_boundary", watched):
        sim = Sim(APPS[1], seed=seed)
        sim._kills_at |= {(b, p) for b in range(3, 400) for p in ("before", "after") if random.random() < CRASHES / 2}
        async with sim:
            await _story(sim, random)
            return _judged(sim, seen, random)


async def _story(sim: Sim, random: Random) -> None:
    plans = [(f"k{number}", planned(random)) for number in range(EACH)]
    sent: list[tuple[str, Any]] = []
    for version in OWED:
        if version > 1:
            await sim.deploy(APPS[version])
        for service in sim.app.services:
            sim.crash(service, after=touch)
        sim.fail(touch, ConnectionError(), times=2)
        for key, plan in plans[version - 1 :: len(OWED)]:
            sent.append((key, plan))
            await sim.emit(made(plan, key), id=key)
            if random.random() < DUPLICATES:
                again, other = random.choice(sent)
                await sim.emit(made(other, again), id=again)
        if random.random() < 0.5:
            await sim.settle()
    await sim.manage("retire", "three.leaver")
    for _ in range(4):
        await sim.advance("30s")
    while aside := sim.read(lambda reader: reader.executions(statuses=(Status.PARKED,), limit=1)):
        event = sim.read(lambda reader: reader.event(event_of(aside[0].id)))
        await sim.operate("drop", event.key)
        await sim.advance("30s")


# What is seen, and what is true.


def look(world: World) -> Seen:
    """The ledger's rows as they are durable now."""
    connection = apsw.Connection(str(world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        ((position,),) = connection.execute("select coalesce(max(position), 0) from onstage_receipt").fetchall()
        rows = connection.execute("select id, open, digest from onstage_process").fetchall()
    finally:
        connection.close()
    return Seen(position, {n: (is_open, not any(digest)) for n, is_open, digest in rows})


def truth(file: StoredFile) -> Iterator[tuple[int, Counter[int]]]:
    """After each bundle of receipts: how many obligations each process has, by the test's own table."""
    stamped: dict[int, int] = dict(file.rows("select n, topology from onstage_event"))
    owing: defaultdict[int, set[tuple[int, str]]] = defaultdict(set)
    count, opened = Counter[int](), set[int]()
    for position, body in file.rows("select position, body from onstage_receipt order by position"):
        settled: list[tuple[int, int, str]] = []
        for receipt in decode_receipts(body):
            here = owing[receipt.process]
            if not receipt.handler and receipt.event in opened:
                here.add((receipt.event, "late.early"))  # the only one who hears what was before
            fresh = (
                [n for n, _ in receipt.outputs] if receipt.handler else [receipt.event] * (receipt.event not in opened)
            )
            for n in fresh:
                process = file.events[n].process
                owing[process] |= {(n, name) for name in OWED[stamped[n]].get(file.events[n].type, ())}
            opened.update(fresh)
            is_mail = receipt.status in (Status.CONSUMED, Status.UNMATCHED, Status.LATE)
            if receipt.handler and receipt.status > OPEN_MAX and not is_mail:
                settled.append((receipt.process, receipt.event, file.handlers[receipt.handler]))
        for process, n, name in settled:
            owing[process].discard((n, name))
        count.update(dict.fromkeys(owing, 0))
        for process, left in owing.items():
            count[process] = len(left)
        yield position, Counter(count)


def _judged(sim: Sim, seen: list[Seen], random: Random) -> tuple[Tally, list[str]]:
    connection = apsw.Connection(str(sim.world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        file = StoredFile(lambda sql, *bindings: connection.execute(sql, bindings).fetchall())
        wrong = [*_rows_wrong(file, seen), *_fold_wrong(file, random)]
        tally = Tally(EACH, len(file.executions), sim.world.kills, sum(len(each.rows) for each in seen))
        tally.statuses.update(Status(row.status).name for row in file.executions.values())
    finally:
        connection.close()
    return tally, wrong


def _rows_wrong(file: StoredFile, seen: list[Seen]) -> Iterator[str]:
    counts: dict[int, Counter[int]] = {0: Counter(), **dict(truth(file))}
    for each in seen:
        for process, (is_open, is_zero) in each.rows.items():
            owed = counts[each.position][process]
            if (is_open == 0) != (owed == 0):
                what = "premature" if is_open == 0 else "missing"
                yield f"process {process} at receipt {each.position}: {what}, {is_open} open, {owed} owed"
            if is_zero != (is_open == 0):
                yield f"process {process} at receipt {each.position}: {is_open} open, digest zero: {is_zero}"
    if any(max(counts.items())[1].values()):
        yield f"never finished: {+max(counts.items())[1]}"


def _fold_wrong(file: StoredFile, random: Random) -> Iterator[str]:
    """The same receipts through the pure fold: in order, and as an unreliable way delivers them."""
    told, calm, shaken = list(exported(file)), Ledger(), Ledger()
    fold_into(calm, told)
    for row in calm.violations():
        yield f"process {row.process}: {row.digest.hex()}, open {row.open}, early {row.early}"
    stored = dict(file.rows("select wire_id, digest from onstage_process"))
    for row in calm.rows():
        if row.digest != stored[row.process]:
            yield f"process {row.process}: the fold differs from the store"
    for row in calm.rows():
        if not row.is_complete:
            yield f"process {row.process} is open in the fold: {row.open} {row.early}"
    arriving, at = _disturbed(told, random), 0
    while at < len(arriving):
        if random.random() < 0.01:  # killed, and rebuilt
            shaken, at = (Ledger(), 0) if random.random() < 0.1 else (Ledger.from_checkpoint(shaken.checkpoint()), at)
        fold_into(shaken, arriving[at : at + 1])
        at += 1
    if shaken.rows() != calm.rows():
        yield "the fold's rows depend on how the receipts came"


def _disturbed(told: list[Exported], random: Random) -> list[Exported]:
    placed = [(n + random.randint(-30, 30) * (random.random() < REORDERED), each) for n, each in enumerate(told)]
    placed += [(n + random.randint(0, 60), each) for n, each in enumerate(told) if random.random() < DUPLICATES]
    return [each for _, each in sorted(placed, key=lambda one: one[0])]


def play_many(first: int, worlds: int) -> Tally:
    """Worlds of consecutive seeds."""
    total, again = Tally(), f"python -m tests.processes --engine --first {{}} --count {EACH}"
    for seed in range(first, first + worlds):
        tally, wrong = asyncio.run(play(seed))
        tally.wrong = [f"seed {seed}: {what}; again: {again.format(seed)}" for what in wrong[:3]]
        total.add(tally)
    return total

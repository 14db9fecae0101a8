"""Random processes through the engine on SQLite, undone by what they do, by hand, or on request, with crashes."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import apsw
from tests.processes import undone_town as town

from onstage.errors import UsageError
from onstage.events.receipt import Status
from onstage.testing import Sim
from onstage.testing.checks.standing import unsound
from onstage.testing.checks.stored_file import StoredFile

EACH = 10  # processes of one world
CRASHES = 0.05
LEAVES = 0.2
TWICE = 0.2
APP = town.town()


@dataclass
class Tally:
    """What came of many worlds."""

    processes: int = 0
    steps: int = 0
    undos: int = 0
    kills: int = 0
    left: int = 0
    torn: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in the figures of further worlds."""
        self.wrong += other.wrong
        self.verdicts.update(other.verdicts)
        for name in ("processes", "steps", "undos", "kills", "left", "torn"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        """In one line."""
        did = f"{self.processes:,} processes, {self.steps:,} steps undone in {self.undos:,} calls"
        did += f", {self.torn:,} of them in scopes that rejected, {self.left:,} pivots"
        return f"{did}, {self.kills:,} crashes: {len(self.wrong)} wrong"


async def play(seed: int) -> Tally:
    """One world; answers its figures, and what was wrong."""
    random, tally = Random(seed), Tally(EACH)
    for kept in (town.DID, town.ANCESTORS, town.EXEMPT, town.KEYS, town.TORN, town.LEFT):
        kept.clear()
    sim = Sim(APP, seed=seed)
    sim._kills_at |= {(b, p) for b in range(3, 300) for p in ("before", "after") if random.random() < CRASHES / 2}
    async with sim:
        await _story(sim, random, tally)
        tally.kills = sim.world.kills
        tally.wrong += _unsound(sim)
    tally.wrong += judged(town.DID)
    tally.steps = len({label for what, label in town.DID if what == "-"})
    tally.undos = sum(what == "-" for what, _ in town.DID)
    tally.torn = len(town.TORN & {label for _, label in town.DID})
    return tally


async def _story(sim: Sim, random: Random, tally: Tally) -> None:
    sim.fail(town.do, ConnectionError(), times=2)
    processes: list[str] = []
    for number in range(EACH):
        key = f"k{number}"
        plan = town.planned(random, [0], leaves=random.random() < LEAVES)
        event = town.made(plan, key, [], exempt=False)
        processes.append(await sim.emit(event, id=key))
        if random.random() < TWICE:
            assert await sim.emit(event, id=key) == processes[-1]
        if random.random() < 0.3:
            await sim.advance(random.choice((0.01, 0.03, 0.1)))
            await _ask(sim, "cancel", *random.choices(processes, k=random.choice((1, 2))))
    for _ in range(4):
        await sim.advance("30s")
    for key, process in zip((f"k{n}" for n in range(EACH)), processes, strict=True):
        tally.verdicts[sim.verdict(key).status] += 1
        await _ask(sim, "undo", process)
    for _ in range(4):
        await sim.advance("30s")
    for number in range(EACH):
        verdict = sim.verdict(f"k{number}")
        has_left = f"k{number}" in town.LEFT
        tally.left += has_left
        done = {label for what, label in town.DID if what == "+" and label.startswith(f"k{number}:")}
        is_bare = not done - town.TORN - town.EXEMPT and verdict.status in ("completed", "dead end")
        if (verdict.status == "compensated") == has_left and not is_bare:
            tally.wrong.append(f"process k{number} is {verdict}{', and has passed its pivot' if has_left else ''}")
    open_ = sim.read(lambda reader: reader.executions(statuses=range(Status.DONE)))
    tally.wrong += [f"open: {each.handler} {Status(each.status).label}" for each in open_]


def _unsound(sim: Sim) -> list[str]:
    """What the checkers of stored files find."""
    connection = apsw.Connection(str(sim.world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        file = StoredFile(lambda sql, *bindings: connection.execute(sql, bindings).fetchall())
        return [f"{invariant}: {what}" for invariant, what in unsound(file)]
    finally:
        connection.close()


async def _ask(sim: Sim, action: str, *processes: str) -> None:
    for process in processes:
        with suppress(UsageError):  # it has ended, or has not
            await sim.control(action, process)


def judged(did: list[tuple[str, str]]) -> list[str]:
    """What is wrong in a log of what was done and undone: by what the events said led to each step."""
    wrong: list[str] = []
    first_undo: dict[str, int] = {}
    last_undo: dict[str, int] = {}
    for at, (what, label) in enumerate(did):
        if what == "-":
            first_undo.setdefault(label, at)
            last_undo[label] = at
            continue
        if label in town.EXEMPT:
            continue
        early = [each for each in town.ANCESTORS[label] if first_undo.get(each, at) < at]
        wrong += [f"{label} was done after {each} was undone, which had led to it" for each in early]
    done = {label for what, label in did if what == "+"}
    stay = town.EXEMPT | {label for label in done if label.partition(":")[0] in town.LEFT}
    wrong += [f"{label} was not undone" for label in sorted((done - stay | town.TORN & done) - first_undo.keys())]
    wrong += [
        f"{label} was undone after a pivot" for label in sorted((stay - town.EXEMPT) & first_undo.keys() - town.TORN)
    ]
    wrong += [f"{label} was undone under {len(keys)} keys" for label, keys in town.KEYS.items() if len(keys) > 1]
    for label, at in last_undo.items():
        for each in town.ANCESTORS[label]:
            if first_undo.get(each, at) < at:
                wrong.append(f"{each} was undone before {label}, to which it had led")
    return wrong


def play_many(first: int, worlds: int) -> Tally:
    """Worlds of consecutive seeds."""
    total = Tally()
    for seed in range(first, first + worlds):
        tally = asyncio.run(play(seed))
        again = f"python -m tests.processes --undone --engine --first {seed} --count {EACH}"
        tally.wrong = [f"seed {seed}: {what}; again: {again}" for what in tally.wrong[:3]]
        total.add(tally)
    return total

"""A node in a process of its own, killed fifty times at random moments under load; observed from outside."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
from tests.scenario import kill_app
from tests.scenario.kill_app import Ordered, app

from onstage import connect
from onstage.core.identity import Identity
from onstage.core.journal import Stepped, decode_entry
from onstage.stage import Stage

KILLS = 50
UNDER_LOAD_MIN = 40
OPEN_MIN = 100
OPEN_WANTED = 300
FEEDERS = 8
KEYS = 60
END_S_MAX = 25.0


@dataclass
class World:
    """The files of one run, and what was seen from outside."""

    folder: Path
    chance: random.Random
    accepted: list[int] = field(default_factory=list)
    open_at_kill: list[int] = field(default_factory=list)
    recorded_before_line: dict[str, int] = field(default_factory=dict)
    complaints: list[dict[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "kill.db"

    @property
    def effects(self) -> Path:
        return self.folder / "effects.txt"

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [sys.executable, kill_app.__file__, str(self.store), str(self.effects)]
            return subprocess.Popen(command, stdout=log, stderr=log)

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        connection = apsw.Connection(str(self.store), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(2000)
        try:
            yield connection
        finally:
            connection.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.reading() as connection:
            return connection.execute(sql).fetchall()

    def count_open(self) -> int:
        count: int = self.query("select count(*) from onstage_execution where status < 6")[0][0]
        return count

    def lines(self) -> list[str]:
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def recorded(self) -> set[str]:
        """The idempotency keys of all steps whose result is durable."""
        store = self.query("select value from onstage_meta where name = 'store'")[0][0]
        incarnations = self.query("select first_n, name from onstage_incarnation order by epoch")
        identity = Identity(store, tuple(incarnations))
        handlers = dict(self.query("select id, name from onstage_handler"))
        entries = ((x, decode_entry(body)) for x, body in self.query("select execution, body from onstage_entry"))
        return {
            f"{identity.wire(x >> 16)}/{handlers[x & 0xFFFF]}/{entry.position}"
            for x, entry in entries
            if isinstance(entry, Stepped)
        }


async def until(happened: Any, limit_s: float, what: str) -> None:
    """Poll for something in another process. Fails when the time is over."""
    give_up = monotonic() + limit_s
    while not happened():
        assert monotonic() < give_up, f"not within {limit_s} s: {what}"
        await asyncio.sleep(0.02)


def is_serving(world: World) -> bool:
    try:
        return bool(world.query("select count(*) from onstage_incarnation")[0][0])
    except apsw.Error:
        return False


@dataclass
class Feed:
    """The client's side: what it sends next, and when it stops."""

    world: World
    client: Stage
    is_on: bool = True
    seq: int = 0

    async def run(self) -> None:
        """Emit one event after the other while there is room, each with an id of its own."""
        while self.is_on:
            if self.world.count_open() >= OPEN_WANTED:
                await asyncio.sleep(0.02)
                continue
            self.seq += 1
            seq = self.seq
            await self.client.emit(Ordered(f"k{seq % KEYS}", seq), id=f"order-{seq}")
            self.world.accepted.append(seq)


async def kill_again_and_again(world: World, node: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Kill and start, at random moments. Answers the last node, which runs."""
    await until(lambda: world.count_open() >= OPEN_MIN, 10, "enough load")
    for number in range(KILLS):
        await asyncio.sleep(world.chance.uniform(0.15, 0.8))
        if number % 8:  # every eighth comes no matter what
            await until(lambda: world.count_open() >= OPEN_MIN, 10, "enough load")
        assert node.poll() is None, f"the node ended by itself:\n{world.log.read_text()}"
        world.open_at_kill.append(world.count_open())
        node.send_signal(signal.SIGKILL)
        node.wait()
        seen = len(world.lines())
        for key in world.recorded():
            world.recorded_before_line.setdefault(key, seen)
        node = world.start()
    return node


async def run(world: World) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: world.complaints.append(context))
    node = world.start()
    try:
        await until(lambda: is_serving(world), 10, "the first node starts")
        async with connect(f"sqlite:///{world.store}", app) as client:
            feed = Feed(world, client)
            feeders = [asyncio.create_task(feed.run()) for _ in range(FEEDERS)]
            node = await kill_again_and_again(world, node)
            feed.is_on = False
            await asyncio.gather(*feeders)
            await until(lambda: world.count_open() == 0, END_S_MAX, "everything ends")
    finally:
        node.terminate()
        assert node.wait(timeout=15) == 0, world.log.read_text()


def check(world: World) -> None:
    events = world.query(
        "select e.n, t.name, e.key, json_extract(e.data, '$.seq'), e.cause from onstage_event e "
        "join onstage_type t on t.id = e.type order by e.n"
    )
    rows = world.query("select handler, key, seq from ledger order by id")
    stored = [seq for _, name, _, seq, _ in events if name == "kill.ordered"]
    assert set(world.accepted) <= set(stored), "an accepted event was lost"
    assert len(stored) == len(set(stored)), "an event was stored twice"
    assert Counter((handler, seq) for handler, _, seq in rows) == Counter(
        (handler, seq) for handler in ("work", "rest", "file") for seq in stored
    ), "each handler has its effect exactly once for each event"
    in_order, handled = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for _, name, key, seq, _ in events:
        if name == "kill.ordered":
            in_order[key].append(seq)
    for handler, key, seq in rows:
        if handler == "work":
            handled[key].append(seq)
    assert handled == in_order, "the events of a key were handled out of order"
    repeated = [
        line
        for number, line in enumerate(world.lines())
        if number >= world.recorded_before_line.get(line.partition(" ")[0], number + 1)
    ]
    assert not repeated, "steps ran again after their results were recorded"
    tools = {line.partition(" ")[0] for line in world.lines() if line.endswith(" tool")}
    assert len(tools) == 2 * len(stored), "each step has one idempotency key in all its attempts"
    unbalanced = "select count(*) from onstage_process where open or digest != zeroblob(16) or outcome is null"
    assert world.query(unbalanced) == [(0,)]


def test_a_node_that_is_killed_fifty_times_under_load_keeps_every_promise(tmp_path: Path) -> None:
    world = World(tmp_path, random.Random(50))
    asyncio.run(run(world))
    log = world.log.read_text()
    assert "ERROR" not in log, log
    assert "Traceback" not in log, log
    assert not world.complaints, "the client's loop had something to complain about"
    check(world)
    assert len(world.open_at_kill) == KILLS
    assert sum(count >= OPEN_MIN for count in world.open_at_kill) >= UNDER_LOAD_MIN, world.open_at_kill
    assert len(world.accepted) > KILLS

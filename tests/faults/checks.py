"""What must hold on the files that a power cut left, and when everything has ended afterwards."""

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import apsw
from tests.faults.play import EFFECTS, OUTCOMES, outside
from tests.scenario.sim_checks import check_settled

from onstage.testing import Sim
from onstage.testing.checks.standing import unsound
from onstage.testing.checks.stored_file import StoredFile
from onstage.testing.sim_world import World

ADDED_ONLY = {"onstage_door", "onstage_entry", "onstage_event", "onstage_incarnation", "onstage_receipt", "seat"}


class Looking:
    """As much of a `Sim` as the checks need: a world, and questions to its store."""

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self, question: Any) -> Any:
        return self.world.call(lambda: question(self.world.store.reader))


def rows(connection: apsw.Connection, sql: str) -> list[tuple[Any, ...]]:
    return cast("list[tuple[Any, ...]]", connection.execute(sql).fetchall())


Place = tuple[int, ...]
"""An event (n) or a journal entry (execution, place)."""


@dataclass(frozen=True)
class State:
    """All that stands in the tables at one moment, and of it what is only ever added."""

    digest: str
    facts: frozenset[int]
    places: frozenset[Place]
    """Which events and journal entries there are."""


def state_of(path: Path) -> State:
    """Look at a store that is in use."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return read_state(connection)
    finally:
        connection.close(True)


def read_state(connection: apsw.Connection) -> State:
    found, facts = blake2b(digest_size=16), list[int]()
    for (table,) in rows(connection, "select name from sqlite_master where type = 'table' order by name"):
        found.update(f"{table}\n".encode())
        for row in rows(connection, f'select * from "{table}"'):  # noqa: S608  its own names
            found.update(repr(row).encode())
            if table in ADDED_ONLY:
                facts.append(hash((table, row)))
    entries = rows(connection, "select execution, place from onstage_entry") if facts else []
    events = rows(connection, "select n from onstage_event") if facts else []
    return State(found.hexdigest(), frozenset(facts), frozenset([*entries, *events]))


def check_sound(path: Path) -> State | None:
    """What a cut left is a sound database with balanced accounts; answers what is in it, None if nothing is yet.

    SQLite rolls back and replays here what a cut left undone: give the node that is to start next a copy of its own.
    """
    if not path.exists():
        return None
    connection = apsw.Connection(str(path))
    try:
        connection.execute("pragma synchronous = off")
        assert rows(connection, "pragma integrity_check") == [("ok",)], "corrupt"
        if rows(connection, "pragma user_version") == [(0,)]:
            return None
        check_accounts(connection)
        return read_state(connection)
    except apsw.Error as error:
        raise AssertionError(f"corrupt: {error}") from error
    finally:
        connection.close(True)


def stored_file(connection: apsw.Connection) -> StoredFile:
    return StoredFile(lambda sql, *bindings: connection.execute(sql, bindings).fetchall())


def check_accounts(connection: apsw.Connection) -> None:
    """What must hold at any moment: journals are whole, receipts are dense, ledgers are what they add up to."""
    found = list(unsound(stored_file(connection)))
    assert not found, f"unsound: {found[:5]}"


def check_ended(world: World, repeated: list[str]) -> None:
    """At the end: every process ended exactly once as it should, effects happened, no recorded step was repeated."""
    check_settled(cast("Sim", Looking(world)))
    connection = apsw.Connection(str(world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        check_accounts(connection)
        outcomes = rows(connection, "select key, outcome from onstage_process where declared = 'play' order by key")
        assert outcomes == sorted(OUTCOMES.items()), "each process ends once, and as it should"
        seats = Counter(key for (key,) in rows(connection, "select key from seat"))
        assert seats == dict.fromkeys(OUTCOMES, 1), "an own table and the journal differ"
    finally:
        connection.close(True)
    tools = {(what, key, tool) for _, what, key, tool in outside.effects}
    assert {(what, key) for what, key, _ in tools} == EFFECTS, "an effect is missing, or should not be"
    assert len(tools) == len(EFFECTS), "an effect happened under two idempotency keys"
    assert not repeated, f"steps ran again after their results were durable: {repeated}"


def check_clock(connection: apsw.Connection) -> None:
    """Numbers and hybrid times of events grow together, and no entry of the log is older than its cause."""
    events = rows(connection, "select n, hlc, cause from onstage_event order by n")
    times = {n: hlc for n, hlc, _ in events}
    assert list(times.values()) == sorted(set(times.values())), "times of events do not grow"
    assert all(times[cause >> 16] < hlc for _, hlc, cause in events if cause), "an event before its cause"

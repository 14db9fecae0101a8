"""The wall clock jumps in the middle of the play: timers are never early by it, and times in the log only grow."""

from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.faults.checks import check_accounts, check_clock, rows
from tests.faults.play import ACTS, OUTCOMES, app, outside

from onstage.core.commit import Commit
from onstage.core.journal import WaitEnded, WaitOpened
from onstage.testing.sim_world import World
from onstage.testing.virtual_clock import VirtualClock

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
JUMPS = [HOUR_MS, -HOUR_MS, 5 * MINUTE_MS, -5 * MINUTE_MS]


class JumpingClock:
    """The world's clock, moved by hand; the loop goes on as before."""

    def __init__(self, plain: VirtualClock) -> None:
        self.plain = plain
        self.moved_ms = 0

    def now_ms(self) -> int:
        return self.plain.now_ms() + self.moved_ms

    def chance(self) -> float:
        return self.plain.chance()

    def token(self, size: int) -> bytes:
        return self.plain.token(size)


class Watched:
    """A play whose clock jumps before batch number `at`, and what its waits were opened and timed out with."""

    def __init__(self, path: Path, at: int, jump_ms: int) -> None:
        self.world = World(app, 1, path)
        self.clock = self.world.clock = JumpingClock(self.world.clock)  # type: ignore[assignment]
        self.at = at
        self.jump_ms = jump_ms
        self.dues: dict[int, int] = {}
        self.timed_out = 0
        self.early: list[str] = []
        self._plain = self.world.note
        self.world.note = self.note

    def note(self, *what: Any) -> None:
        self._plain(*what)
        if what[0] == "batch" and what[2] == "before" and what[1] == self.at:
            self.clock.moved_ms += self.jump_ms
        if what[0] == "commit":
            self.watch(what[1])

    def watch(self, commit: Commit) -> None:
        for entry in commit.entries:
            if isinstance(entry, WaitOpened) and entry.due is not None:
                self.dues[commit.execution] = entry.due
            if isinstance(entry, WaitEnded) and not entry.event:
                self.timed_out += 1
                ahead_ms = self.dues[commit.execution] - self.clock.now_ms()
                if ahead_ms > 0:
                    self.early.append(f"{commit.execution}: {ahead_ms} ms early")

    def play(self) -> None:
        outside.effects.clear()
        outside.now = lambda: 0
        self.world.start()
        try:
            for act in ACTS:
                act(self.world)
            self.world.advance(7200)  # the clock may have gone back an hour
            self.check()
        finally:
            self.world.close()

    def check(self) -> None:
        assert not self.early
        connection = apsw.Connection(str(self.world.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            check_accounts(connection)
            check_clock(connection)
            found = rows(connection, "select key, outcome, open from onstage_process where declared = 'play'")
            wires = [wire for (wire,) in rows(connection, "select wire_id from onstage_process")]
        finally:
            connection.close(True)
        assert Counter(key for key, _, _ in found) == dict.fromkeys(OUTCOMES, 1)
        assert {is_open for _, _, is_open in found} == {0}
        assert all(outcome == OUTCOMES[key] or key == "a" for key, outcome, _ in found)  # a's cue may come too late
        assert len(set(wires)) == len(wires), "an id was given out twice"
        lit = {(key, tool) for _, what, key, tool in outside.effects if what == "light"}
        assert sorted(key for key, _ in lit) == sorted(OUTCOMES)


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_a_clock_that_jumps_makes_no_timer_early_and_no_time_go_back(jump_ms: int, tmp_path: Path) -> None:
    timed_out, at, batches = 0, 1, 1
    while at <= batches:
        watched = Watched(tmp_path / f"{at}.db", at, jump_ms)
        watched.play()
        at, batches, timed_out = at + 1, watched.world.batches, timed_out + watched.timed_out
    assert at > 15
    assert timed_out >= 2 * (at - 1)


def test_the_check_sees_an_engine_that_counts_seconds_instead_of_reading_the_clock(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "careless.db", 8, -HOUR_MS)
    watched.world.clock = watched.clock.plain
    with pytest.raises(AssertionError, match="ms early"):
        watched.play()

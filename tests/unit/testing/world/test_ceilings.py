"""What is left in memory is seen."""

from typing import Any

import pytest

from onstage.testing.world import playing
from onstage.testing.world.ceilings import check_memory
from onstage.testing.world.playing import play
from onstage.testing.world.world_run import World


def left(monkeypatch: pytest.MonkeyPatch, leave: Any) -> list[str]:
    def check(world: World) -> None:
        leave(world)
        check_memory(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    return play(2).violations


def test_a_clean_node_is_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left(monkeypatch, lambda world: setattr(world, "events", 100)) == []


def test_what_is_left_in_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(world: World) -> None:
        world.events = 100
        node: Any = world.life.node
        node.open[7] = None
        node.watch._waiters._waiting[3] = []  # noqa: SLF001
        node.mailbox._recent[1] = 2  # noqa: SLF001

    found = left(monkeypatch, leave)
    assert [what.split()[2:] for what in found] == [
        ["open", "executions", "are", "left", "in", "memory"],
        ["recent", "mail", "are", "left", "in", "memory"],
        ["watchers", "are", "left", "in", "memory"],
    ]


def test_too_many_rows_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onstage.testing.world.ceilings.ROWS_PER_EVENT_MAX", -100)
    assert any("rows for" in what for what in left(monkeypatch, lambda world: setattr(world, "events", 100)))

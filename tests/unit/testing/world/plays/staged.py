"""Worlds of one play only, and what is seen in them when their file is changed before it is checked."""

from collections.abc import Callable
from typing import Any

import pytest

from onstage.testing.world import playing, programme
from onstage.testing.world.playing import play
from onstage.testing.world.plays.play import Play
from onstage.testing.world.world_run import Result, World

GUESTS = tuple(each.name for each in programme.GUESTS)
PLAYS = {each.name: each for each in (*programme.PLAYS, *programme.GUESTS)}


def alone(monkeypatch: pytest.MonkeyPatch, name: str) -> Play:
    """From here on every world plays this."""
    monkeypatch.setattr(programme, "PLAYS", (PLAYS[name],))
    monkeypatch.setattr(programme, "GUESTS", ())
    monkeypatch.setattr(programme, "HOW_MANY", (1,))
    return PLAYS[name]


def worlds(seeds: range) -> list[Result]:
    """These worlds, played."""
    return [play(seed) for seed in seeds]


def spoilt(monkeypatch: pytest.MonkeyPatch, sql: str, seeds: range) -> set[str]:
    """The checkers that complain in the first of these worlds in which the statement changes something."""
    plain: Callable[[World], None] = playing.check_at_rest
    changed: list[int] = []

    def check(world: World) -> None:
        connection: Any = world._power.meddle()  # noqa: SLF001  behind everybody's back
        before = connection.total_changes()
        connection.execute(sql)
        changed.append(connection.total_changes() - before)
        connection.close()
        plain(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    for seed in seeds:
        result = play(seed)
        if changed[-1]:
            return {what.partition(":")[0] for what in result.violations}
    raise AssertionError("the statement changes nothing in any of these worlds")

"""Playing: whatever breaks a world is a finding, and its end is always reached."""

import pytest

from onstage.testing.world import playing
from onstage.testing.world.playing import play
from onstage.testing.world.world_run import World


def test_what_breaks_a_world_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(world: World) -> None:
        raise ValueError(f"after {world.onlooker.commits > 0}")

    monkeypatch.setattr(playing, "check_at_rest", broken)
    assert play(1).violations == ["world: ValueError: after True"]


def test_calm_comes_after_the_storm_and_the_checks_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    order, calm_down, check = list[str](), playing.calm_down, playing.check_at_rest
    monkeypatch.setattr(playing, "calm_down", lambda world: (order.append("calm"), calm_down(world)))
    monkeypatch.setattr(playing, "check_at_rest", lambda world: (order.append("check"), check(world)))
    assert play(1).violations == []
    assert order == ["calm", "check"]

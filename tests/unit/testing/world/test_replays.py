"""Journals that do not replay are seen."""

from typing import Any

import pytest

from onstage.core.execution import Execution
from onstage.testing.world import playing, replays
from onstage.testing.world.invariants import check_at_rest
from onstage.testing.world.playing import play
from onstage.testing.world.world_run import World


def test_a_journal_that_lacks_its_end_does_not_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, cut = Execution, list[int]()

    def shorter(entries: tuple[Any, ...]) -> Execution:
        cut.append(len(entries))
        return plain(entries[:-1])

    monkeypatch.setattr(replays, "Execution", shorter)
    violations = play(3).violations
    assert len(cut) == len(violations) > 3
    assert all(what.startswith("I13: ") and "does not replay" in what for what in violations)


def test_events_that_a_replay_does_not_emit_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(world: World) -> None:
        rows = world.observer.rows
        monkeypatch.setattr(
            world.observer,
            "rows",
            lambda sql, *b: [(99,)] if "count(*) from onstage_event where cause" in sql else rows(sql, *b),
        )
        check_at_rest(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    violations = play(3).violations
    assert any("emitted 99" in what for what in violations)

"""Journals that do not replay are seen."""

from typing import Any

import apsw
import pytest

from onstage.core.execution import Execution
from onstage.core.journal import Undone
from onstage.testing import rehearsal
from onstage.testing.world import playing
from onstage.testing.world.invariants import check_at_rest
from onstage.testing.world.playing import play
from onstage.testing.world.world_run import World


def test_a_journal_that_lacks_its_end_does_not_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, cut = Execution, list[bool]()

    def shorter(entries: tuple[Any, ...]) -> Execution:
        cut.append(not isinstance(entries[-1], Undone))  # what undid is not asked for by the handler
        return plain(entries[:-1])

    monkeypatch.setattr(rehearsal, "Execution", shorter)
    violations = play(3).violations
    assert sum(cut) == len(violations) > 3
    assert all(what.startswith("I13: ") and "does not replay" in what for what in violations)


def test_events_that_a_replay_does_not_emit_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(world: World) -> None:
        connection = apsw.Connection(str(world.power_path), vfs="unix-excl")
        connection.execute(ANOTHER)
        connection.close()
        check_at_rest(world)

    monkeypatch.setattr(playing, "check_at_rest", check)
    violations = [what for seed in range(4) for what in play(seed).violations]
    assert any(what.startswith("I13: ") and "emitted 2, replay 1" in what for what in violations)


ANOTHER = """
insert into onstage_event select n + 1000000, process, type, key, cause, hlc, topology, data, extra
from onstage_event where cause & 65535 in (select id from onstage_handler where name = 'road.walk') limit 1
"""

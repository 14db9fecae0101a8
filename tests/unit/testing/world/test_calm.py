"""When faults have stopped, what does not end is a complaint."""

from typing import Any

import pytest

from onstage.runtime.node import Node
from onstage.runtime.recovery import Recovery
from onstage.runtime.timer_loop import TimerLoop
from onstage.testing.world import calm
from onstage.testing.world.playing import play


def test_what_never_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: Recovery, delivery: Any, view: Any) -> None:
        delivery.parked, delivery.due = True, view.due

    monkeypatch.setattr(Recovery, "_park", forget)
    violations = [what for seed in range(12) for what in play(seed).violations]
    assert any(what.startswith("liveness: ") and "shop.order" in what for what in violations)


def test_an_operator_is_asked_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = list[int]()
    monkeypatch.setattr(calm, "ROUNDS_MAX", -1)
    monkeypatch.setattr(calm, "_is_at_rest", lambda *_: rounds.append(1))
    assert any(what.startswith("liveness: ") for what in play(1).violations)
    assert rounds == []


def test_a_wait_that_sleeps_beside_its_mail_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(*_: Any) -> None: ...

    monkeypatch.setattr(Node, "nudge", deaf)
    violations = [what for seed in range(18, 34) for what in play(seed).violations]
    assert any(what.startswith("I1: ") and "waits, and event" in what for what in violations)


def test_a_timer_that_does_not_fire_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimerLoop, "_arm", lambda _: None)
    violations = [what for seed in range(6) for what in play(seed).violations]
    assert any(what.startswith("I8: ") and "nothing fired" in what for what in violations)

"""The search itself, on models small enough to count by hand."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from tests.models import explore as search
from tests.models.explore import explore


@dataclass(frozen=True)
class Numbers:
    """States are numbers; `next_of` gives the labelled steps."""

    next_of: Callable[[int], Iterable[tuple[str, int]]]
    ends: frozenset[int]
    bad: frozenset[int] = frozenset()
    first: int = 0

    def steps(self, state: int) -> Iterable[tuple[str, int]]:
        return self.next_of(state)

    def wrong(self, state: int) -> str | None:
        return f"{state} is bad" if state in self.bad else None

    def is_done(self, state: int) -> bool:
        return state in self.ends


def up_or_double(n: int) -> list[tuple[str, int]]:
    return [(f"{what} to {m}", m) for what, m in (("up", n + 1), ("double", 2 * n)) if m <= 20]


def test_every_state_is_visited_once() -> None:
    found = explore(Numbers(up_or_double, frozenset([20])))
    assert found.problem is None
    assert found.states == 21
    assert found.kinds == {"up": 20, "double": 11}
    assert found.steps == 31


def test_a_trace_is_a_shortest_one() -> None:
    found = explore(Numbers(up_or_double, frozenset([20]), bad=frozenset([12, 20])))
    assert found.problem == "12 is bad"
    assert found.trace == ("up to 1", "up to 2", "up to 3", "double to 6", "double to 12")


def test_a_deadlock_is_found_even_if_a_fault_would_end_it() -> None:
    table = {0: [("go", 1), ("go", 2)], 1: [("fault crash", 2)], 2: []}
    found = explore(Numbers(table.__getitem__, frozenset([2])))
    assert "deadlock" in str(found)
    assert found.trace == ("go",)


def test_a_circle_without_a_way_to_the_end_is_found() -> None:
    table = {0: [("go", 1), ("turn", 2)], 1: [], 2: [("turn", 3)], 3: [("turn", 2), ("fault crash", 1)]}
    found = explore(Numbers(table.__getitem__, frozenset([1])))
    assert found.problem is not None
    assert "stuck" in found.problem
    assert found.trace == ("turn",)


def test_a_step_that_changes_nothing_is_no_way_out() -> None:
    found = explore(Numbers(lambda n: [("idle", n)], frozenset()))
    assert found.problem is not None
    assert "deadlock" in found.problem


def test_a_model_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "STATES_MAX", 100)
    with pytest.raises(AssertionError, match="more than 100 states"):
        explore(Numbers(lambda n: [("up", n + 1)], frozenset()))

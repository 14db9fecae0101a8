"""What is ready by priority: as much of a deque as the dispatcher uses."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.runtime.delivery import Delivery, Reaction, Turn
from onstage.runtime.ranked_ready import RankedReady


def delivery(id: int, priority: int | None = None) -> Delivery:
    made = Delivery(id, cast("Reaction", None), 1, None, None)
    made.turn = None if priority is None else Turn(priority=priority)
    return made


def taken(ready: RankedReady) -> list[int]:
    return [ready.popleft().id for _ in range(len(ready))]


def test_a_higher_priority_is_taken_first_and_none_declared_is_in_the_middle() -> None:
    ready = RankedReady()
    ready.extend([delivery(1, 0), delivery(2), delivery(3, 9), delivery(4, 4), delivery(5, 5)])
    assert taken(ready) == [3, 5, 2, 4, 1]


def test_the_last_one_can_be_moved_to_the_front_whatever_its_priority() -> None:
    ready = RankedReady()
    ready.append(delivery(1, 9))
    ready.append(delivery(2, 0))
    assert len(ready) == 2
    ready.appendleft(ready.pop())
    assert len(ready) == 2
    assert taken(ready) == [2, 1]


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=60))
def test_nothing_is_lost_or_taken_twice(priorities: list[int | None]) -> None:
    ready = RankedReady()
    for n, priority in enumerate(priorities):
        ready.append(delivery(n, priority))
        if n % 3 == 0:
            ready.appendleft(ready.pop())
    assert len(ready) == len(priorities)
    assert sorted(taken(ready)) == list(range(len(priorities)))
    assert not ready


def test_nothing_is_ready() -> None:
    with pytest.raises(IndexError):
        RankedReady().popleft()

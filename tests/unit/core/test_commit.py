"""The numbers of a commit."""

import gc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.commit import (
    HANDLERS_MAX,
    Commit,
    Refusal,
    RefusedBecause,
    Transaction,
    event_of,
    execution_id,
    handler_of,
)
from onstage.events.receipt import Status

events = st.integers(1, (1 << 47) - 1)
handlers = st.integers(1, HANDLERS_MAX)


@given(events, handlers)
def test_an_execution_names_its_event_and_handler(event: int, handler: int) -> None:
    execution = execution_id(event, handler)
    assert (event_of(execution), handler_of(execution)) == (event, handler)
    assert execution < 1 << 63


@given(st.tuples(events, handlers), st.tuples(events, handlers))
def test_executions_are_ordered_like_their_events(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (execution_id(*one) < execution_id(*other)) == (one < other)


def test_the_number_of_an_execution_is_stored_and_never_changes() -> None:
    assert (execution_id(3, 5), HANDLERS_MAX) == (3 * 65_536 + 5, 65_535)


def test_a_commit_that_says_nothing_more_is_one_finished_attempt_from_outside_that_writes_nothing() -> None:
    said = {field: value for field, value in msgspec.structs.asdict(Commit()).items() if value}
    assert said == {"gating": True, "status": Status.DONE, "attempts": 1}


def test_a_refusal_is_not_changed_after_the_fact() -> None:
    refusal = Refusal(Commit(), RefusedBecause.FELLED)
    with pytest.raises(AttributeError, match="immutable"):
        refusal.because = RefusedBecause.CONFLICT  # type: ignore[misc]  # that is the test


def test_the_collector_sees_a_transaction() -> None:
    kept: list[object] = []
    kept.append(Transaction(lambda _: kept))  # type: ignore[arg-type,return-value]
    assert gc.is_tracked(kept[0])

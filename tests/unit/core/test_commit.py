"""The numbers of a commit."""

from hypothesis import given
from hypothesis import strategies as st

from onstage.core.commit import HANDLERS_MAX, Commit, event_of, execution_id, handler_of

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


def test_an_empty_commit_asks_for_nothing() -> None:
    assert not any((Commit().entries, Commit().events, Commit().opened, Commit().receipts, Commit().after))

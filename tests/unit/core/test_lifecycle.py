"""The life of an execution as a table."""

import pytest

from onstage.core.lifecycle import TRANSITIONS, IllegalTransition, Input, advance, diagram
from onstage.events.receipt import Status

ACTIVE = [Status.READY, Status.RUNNING, Status.WAITING, Status.RETRYING]
SET_ASIDE = [Status.PARKED, Status.DIVERGED]
LEADS_TO = {
    Input.PROGRESS: Status.RUNNING,
    Input.PARK: Status.WAITING,
    Input.RETRY: Status.RETRYING,
    Input.FAIL: Status.PARKED,
    Input.DIVERGE: Status.DIVERGED,
    Input.END: Status.DONE,
    Input.REJECT: Status.REJECTED,
    Input.SKIP: Status.SKIPPED,
    Input.RESUME: Status.READY,
    Input.DROP: Status.DROPPED,
    Input.CANCEL: Status.CANCELLED,
    Input.EXPIRE: Status.SKIPPED,
    Input.CALL_OFF: Status.DROPPED,
    Input.SKIP: Status.SKIPPED,
    Input.RETIRE: Status.WRITTEN_OFF,
}
FROM = {
    Input.RESUME: SET_ASIDE,
    Input.DROP: SET_ASIDE,
    Input.EXPIRE: [Status.READY],
    Input.CALL_OFF: [Status.READY],
    Input.CANCEL: [*ACTIVE, *SET_ASIDE],
    Input.SKIP: [Status.READY],
    Input.RETIRE: [*ACTIVE, *SET_ASIDE],
}
"""Where something can happen that does not happen to whatever is active."""

OPEN = [status for status in Status if status.is_open]


def test_nothing_follows_an_end() -> None:
    assert {state for state, _ in TRANSITIONS} == set(OPEN)


@pytest.mark.parametrize("happened", Input)
@pytest.mark.parametrize("state", Status)
def test_what_happens_leads_where_it_says_from_every_state_that_allows_it(state: Status, happened: Input) -> None:
    if state in FROM.get(happened, ACTIVE):
        assert advance(state, happened) is LEADS_TO[happened]
    else:
        with pytest.raises(IllegalTransition, match=f"{happened.name} while {state.label}"):
            advance(state, happened)


def test_every_open_state_can_come_to_an_end() -> None:
    for start in OPEN:
        reached, todo = {start}, [start]
        while todo:
            state = todo.pop()
            fresh = {after for (before, _), after in TRANSITIONS.items() if before is state} - reached
            reached |= fresh
            todo += fresh
        assert Status.DONE in reached


def test_an_operator_acts_only_on_what_is_set_aside() -> None:
    for act in (Input.RESUME, Input.DROP):
        assert {state for state, happened in TRANSITIONS if happened is act} == {Status.PARKED, Status.DIVERGED}


def test_a_pair_that_is_not_in_the_table_is_a_defect() -> None:
    assert advance(Status.READY, Input.PROGRESS) is Status.RUNNING
    with pytest.raises(IllegalTransition, match="END while dead letter"):
        advance(Status.PARKED, Input.END)


def test_the_diagram_shows_every_change_of_state() -> None:
    lines = diagram().splitlines()
    changes = {(before, after, why) for (before, why), after in TRANSITIONS.items() if before is not after}
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> ready"]
    assert len(lines) == 2 + len(changes)
    assert "    dead_letter --> ready: an operator retries it" in lines
    assert "    waiting --> dead_letter: the retries are spent" in lines
    assert lines[2:] == sorted(lines[2:])

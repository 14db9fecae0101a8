"""The journal of one durable execution: what is counted, kept, taken and shown."""

import pytest
from tests.unit.core.test_execution import NOW, Call, run

from onstage.core.execution import Execution
from onstage.core.journal import (
    Attempted,
    Begun,
    Failed,
    Slept,
    Stepped,
    Transacted,
    Valued,
    WaitEnded,
)
from onstage.core.requests import (
    DivergedAnswer,
    Perform,
    Recorded,
    Request,
    StepRequest,
    TransactionRequest,
    ValueRequest,
    WaitRequest,
)


def test_length_counts_every_entry_and_the_latest_of_a_position_stands() -> None:
    journal = [Begun("a#0", 1, "u", b""), Attempted("a#0", 1, 1, 0, "", 0), Stepped("a#0", 1, b"", 0, 2, 0)]
    execution = Execution(journal)
    assert (execution.length, execution.entries(), execution.at("a#0")) == (3, (journal[2],), journal[2])
    assert execution.at("b#0") is None


def test_a_transactions_entry_is_counted_while_the_store_writes_it() -> None:
    execution = Execution()
    execution.reserve()
    assert execution.length == 1
    execution.unreserve()
    execution.reserve()
    execution.committed(Transacted("t#0", 1, b"", 0))
    assert (execution.length, execution.take_entries(), execution.has_pending) == (1, (), False)
    assert execution.ask(execution.make("t"), TransactionRequest(1), NOW) == Recorded(Transacted("t#0", 1, b"", 0))


def test_a_journal_is_full_at_its_limit() -> None:
    execution = Execution(Valued(f"v#{n}", b"") for n in range(9_999))
    assert not execution.is_full
    execution.tell(Valued("last#0", b""))
    assert execution.is_full
    assert Execution([*execution.entries(), *execution.take_entries()]).is_full


def test_entries_are_taken_once_and_together() -> None:
    execution = Execution()
    told = [Valued("a#0", b""), Valued("b#0", b"")]
    for entry in told:
        execution.tell(entry)
    assert execution.has_pending
    assert (execution.take_entries(), execution.length) == (tuple(told), 2)
    assert (execution.take_entries(), execution.length, execution.has_pending) == ((), 2, False)
    assert execution.entries() == tuple(told)


def test_a_divergence_shows_the_journal_and_what_was_not_asked_again() -> None:
    execution = Execution([Stepped("b#0", 0xAB, b"", 0, 1, NOW), Valued("a#0", b""), Slept("e#0"), Slept("d#0")])
    answer = execution.ask(execution.make("c"), ValueRequest(), NOW)
    assert answer == DivergedAnswer(
        "the code asks for c#0, which is not in the journal\n"
        "  recorded:\n"
        "    b#0: stepped with arguments 000000ab\n"
        "    a#0: valued\n"
        "    e#0: slept\n"
        "    d#0: slept\n"
        "  recorded but not asked again: a#0, b#0, d#0, e#0\n"
        "  at: c#0"
    )
    assert execution.ended() == "the handler returned, the journal also has a#0, b#0, d#0, e#0"


def test_a_divergence_of_the_only_call_leaves_nothing_unasked() -> None:
    execution = Execution([Valued("a#0", b"")])
    answer = execution.ask(execution.make("a"), WaitRequest(("x", "y"), None), NOW)
    assert isinstance(answer, DivergedAnswer)
    assert answer.diff.startswith("the code asks for wait for x, y, the journal has a#0: valued\n")
    assert answer.diff.endswith("\n  recorded but not asked again: none\n  at: a#0")


def test_a_step_that_opens_anew_after_its_failure_left_the_handler_forgets_its_first_time() -> None:
    execution = Execution([Attempted("a#0", 7, 4, NOW, "slow", NOW)])
    execution.tell(Failed("a#0", 7, None, None, "no", 5))
    execution.failed()
    assert execution.take_entries() == (Attempted("a#0", 7, 0, 0, "no", 0),)
    execution.failed()
    assert execution.take_entries() == ()


def test_failures_of_steps_side_by_side_are_kept_in_order() -> None:
    execution = Execution()
    failures = [Failed(f"{branch}/a#0", 1, None, None, "no", 1) for branch in (2, 1)]
    for failure in failures:
        execution.tell(failure)
    assert not execution.has_pending
    assert execution.ended() is None
    assert execution.take_entries() == tuple(failures)
    execution.failed()
    assert execution.take_entries() == ()


def test_what_is_set_aside_keeps_its_length_and_says_nothing() -> None:
    same = Execution([Valued("a#0", b""), Valued("b#0", b"")]).untouched()
    assert (same.length, same.entries(), same.ended()) == (2, (), None)


def test_several_waits_consume_one_event_each_and_a_timeout_none() -> None:
    execution = Execution()
    execution.tell(WaitEnded("w#0", 0, "", b""))
    assert not execution.consumed
    for n in (1, 2):
        execution.tell(WaitEnded(f"w#{n}", n, "a", b""))
    assert execution.consumed == {1, 2}


def test_a_wait_that_is_over_answers_whatever_types_are_asked_for_now() -> None:
    ended = WaitEnded("w#0", 9, "a", b"")
    assert run(Execution([ended]), [Call("w", WaitRequest(("b",), None))]) == [Recorded(ended)]


def test_only_a_recorded_rejection_rejects() -> None:
    assert Execution([Valued("reject", b"")]).rejected is None
    assert Execution().rejected is None


def test_a_first_attempt_has_no_earlier_one() -> None:
    assert run(Execution(), [Call("a", StepRequest(1))]) == [Perform(1, begun=False, first=0)]
    assert Perform(1, begun=False).first == 0


@pytest.mark.parametrize("request_", [StepRequest(1), TransactionRequest(1)])
def test_a_replay_answers_a_failure_that_the_handler_went_past(request_: Request) -> None:
    failed = Failed("a#0", 1, None, None, "no", 1)
    assert run(Execution([failed]), [Call("a", request_)]) == [Recorded(failed)]


def test_a_call_that_changes_its_mind_in_its_first_run_is_diverged() -> None:
    execution = Execution()
    execution.tell(Valued("a#0", b""))
    answer = execution.ask("a#0", StepRequest(1), NOW)
    assert isinstance(answer, DivergedAnswer)
    assert "recorded but not asked again: none" in answer.diff

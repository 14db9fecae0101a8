"""One durable execution: what it answers live, on replay, and when the code has changed."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.execution import Execution
from onstage.core.journal import (
    Attempted,
    Begun,
    Emitted,
    Entry,
    Failed,
    Rejected,
    SleepOpened,
    Slept,
    Stepped,
    Transacted,
    Undone,
    Valued,
    WaitEnded,
    WaitOpened,
    decode_entry,
    encode_entry,
)
from onstage.core.requests import (
    Answer,
    DivergedAnswer,
    EmitRequest,
    Look,
    ParkAnswer,
    Perform,
    Recorded,
    Request,
    SleepRequest,
    StepRequest,
    TransactionRequest,
    ValueRequest,
    WaitRequest,
)

NOW = 1_000_000


@dataclass(frozen=True)
class Call:
    """A durable call of a handler, and whether its step fails for good (and the handler goes on)."""

    name: str
    request: Request
    fails: bool = False


def result(position: str, call: Call) -> Entry:
    match call.request:
        case StepRequest(arguments) if call.fails:
            return Failed(position, arguments, None, None, "no", 1)
        case StepRequest(arguments):
            return Stepped(position, arguments, b"r", 0, 1, NOW)
        case TransactionRequest(arguments):
            return Transacted(position, arguments, b"r", 0)
        case EmitRequest(arguments):
            return Emitted(position, arguments, 7)
        case WaitRequest(types, _):
            return WaitEnded(position, 9, types[0], b"e")
        case _:
            return Valued(position, b"v")


def run(execution: Execution, calls: list[Call], *, now: int = NOW) -> list[Answer]:
    """Play a handler that makes the calls one after the other and performs what it is told to."""
    answers: list[Answer] = []
    for call in calls:
        position = execution.make(call.name)
        answer = execution.ask(position, call.request, now)
        if isinstance(answer, ParkAnswer):
            answer = execution.ask(position, call.request, answer.due)
        answers.append(answer)
        if isinstance(answer, Perform | Look):
            execution.tell(result(position, call))
        if isinstance(answer, DivergedAnswer):
            break
    return answers


numbers = st.integers(0, 3)
requests = st.one_of(
    st.builds(StepRequest, numbers),
    st.builds(TransactionRequest, numbers),
    st.builds(EmitRequest, numbers),
    st.builds(WaitRequest, st.sampled_from([("a",), ("a", "b")]), st.sampled_from([None, 5])),
    st.builds(SleepRequest, st.integers(0, 9)),
    st.just(ValueRequest()),
)
calls = st.builds(Call, st.sampled_from(["charge", "ship", "2/charge"]), requests, st.booleans())
handlers = st.lists(calls, min_size=1, max_size=12)


def journal_of(handler: list[Call]) -> tuple[Entry, ...]:
    execution = Execution()
    run(execution, handler)
    assert execution.ended() is None
    return execution.take_entries()


@given(handlers)
def test_a_replay_answers_the_same_and_performs_nothing(handler: list[Call]) -> None:
    journal = journal_of(handler)
    again = Execution([decode_entry(encode_entry(entry)) for entry in journal])
    answers = run(again, handler, now=NOW + 10**9)
    final = {entry.position: entry for entry in journal}
    assert [type(answer) for answer in answers] == [Recorded] * len(handler)
    assert {a.entry.position: a.entry for a in answers if isinstance(a, Recorded)} == final
    assert again.ended() is None
    assert (again.take_entries(), again.length) == ((), len(journal))


@given(handlers, st.data())
def test_a_run_that_is_cut_off_anywhere_goes_on_where_it_was(handler: list[Call], data: st.DataObject) -> None:
    journal = journal_of(handler)
    cut = data.draw(st.integers(0, len(journal)))
    again = Execution(journal[:cut])
    answers = run(again, handler)
    assert not any(isinstance(answer, DivergedAnswer) for answer in answers)
    assert again.ended() is None
    assert (*journal[:cut], *again.take_entries()) == journal
    assert again.length == len(journal)


@given(handlers, st.data())
def test_a_changed_name_is_diverged_and_touches_nothing(handler: list[Call], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(handler) - 1))
    changed = list(handler)
    changed[place] = Call("renamed", handler[place].request)
    again = Execution(journal_of(handler))
    answers = run(again, changed)
    assert [type(answer) for answer in answers] == [Recorded] * place + [DivergedAnswer]
    assert not again.has_pending


@given(handlers, st.data())
def test_changed_arguments_are_diverged(handler: list[Call], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(handler) - 1))
    request = handler[place].request
    if not isinstance(request, StepRequest | TransactionRequest | EmitRequest):
        return
    changed = [*handler[:place], Call(handler[place].name, type(request)(request.arguments + 1)), *handler[place + 1 :]]
    last = run(Execution(journal_of(handler)), changed)[-1]
    assert isinstance(last, DivergedAnswer)
    assert f"with arguments {request.arguments + 1:08x}" in last.diff


def test_requests_and_answers_are_values() -> None:
    def values() -> list[Request | Answer]:
        asked = [StepRequest(1), TransactionRequest(1), EmitRequest(1), WaitRequest(("a",), 1), SleepRequest(1)]
        answered = [Recorded(Slept("s#0")), Perform(1, begun=False), Look(1), ParkAnswer(1), DivergedAnswer("no")]
        return [*asked, ValueRequest(), *answered]

    assert len({*values(), *values()}) == 11


def test_calls_of_one_name_are_told_apart_by_their_occurrence() -> None:
    execution = Execution()
    assert [execution.make(name) for name in ("a", "b", "a", "2/a", "a")] == ["a#0", "b#0", "a#1", "2/a#0", "a#2"]


def test_two_steps_in_another_order_are_diverged() -> None:
    handler = [Call("a", StepRequest(1)), Call("b", StepRequest(2)), Call("c", StepRequest(3))]
    recorded = Execution(journal_of(handler)[:2])
    answers = run(recorded, [handler[0], handler[2], handler[1]])
    assert isinstance(answers[-1], DivergedAnswer)
    assert "recorded but not asked again: b#0" in answers[-1].diff


def test_another_kind_of_call_of_the_same_name_is_diverged() -> None:
    answer = run(Execution(journal_of([Call("a", StepRequest(1))])), [Call("a", ValueRequest())])[0]
    assert isinstance(answer, DivergedAnswer)
    assert "asks for value, the journal has a#0: stepped" in answer.diff


def test_a_handler_that_returns_early_says_what_it_left_out() -> None:
    again = Execution(journal_of([Call("a", StepRequest(1)), Call("b", StepRequest(1))]))
    run(again, [Call("a", StepRequest(1))])
    assert again.ended() == "the handler returned, the journal also has b#0"


def test_undoing_entries_are_nothing_that_the_handler_asks_again() -> None:
    journal = [
        Stepped("a#0", 1, b"", 0, 1, 0),
        Rejected("reject", "no"),
        Undone("a#0/undo"),
        Attempted("undo/a#0", 1, 1, 5, "", 0),
    ]
    again = Execution(journal)
    assert again.rejected == Rejected("reject", "no")
    run(again, [Call("a", StepRequest(1))])
    assert again.ended() is None


def test_a_failure_that_leaves_the_handler_is_forgotten() -> None:
    execution = Execution()
    run(execution, [Call("a", StepRequest(1), fails=True)])
    assert execution.fails_at("a#0")
    assert not execution.fails_at("b#0")
    execution.failed()
    assert not execution.fails_at("a#0")
    assert execution.take_entries() == ()
    assert run(Execution(), [Call("a", StepRequest(1))]) == [Perform(1, begun=False)]


def test_a_failure_that_leaves_the_handler_opens_the_step_with_a_new_budget() -> None:
    attempted = Attempted("a#0", 1, 4, NOW, "no", NOW)
    execution = Execution([attempted])
    answer = run(execution, [Call("a", StepRequest(1), fails=True)])
    assert answer == [Perform(5, begun=True, first=NOW)]
    execution.failed()
    again = Execution([attempted, *execution.take_entries()])
    assert run(again, [Call("a", StepRequest(1))]) == [Perform(1, begun=True, first=0)]


@pytest.mark.parametrize("goes_on", ["asks", "returns"])
def test_a_failure_that_the_handler_goes_past_is_kept(goes_on: str) -> None:
    execution = Execution()
    handler = [Call("a", StepRequest(1), fails=True)]
    if goes_on == "asks":
        handler.append(Call("b", ValueRequest()))
    run(execution, handler)
    if goes_on == "asks":
        execution.failed()
    else:
        assert execution.ended() is None
    journal = execution.take_entries()
    assert journal[0] == Failed("a#0", 1, None, None, "no", 1)
    assert run(Execution(journal), handler)[0] == Recorded(journal[0])


def test_a_call_that_begins_in_a_branch_does_not_keep_the_failure_of_another() -> None:
    """Side by side, both were made before either failed: that one begins later tells nothing about the handler."""
    execution = Execution()
    failing, other = execution.make("a"), execution.make("b")
    execution.ask(failing, StepRequest(1), NOW, aside=True)
    execution.tell(Failed(failing, 1, None, None, "no", 1))
    execution.ask(other, StepRequest(2), NOW, aside=True)
    execution.tell(Stepped(other, 2, b"1", 0, 1, NOW))
    execution.failed()
    assert execution.take_entries() == (Stepped(other, 2, b"1", 0, 1, NOW),)


def test_a_call_that_is_made_after_a_failure_in_a_branch_keeps_it() -> None:
    execution = Execution()
    failing = execution.make("a")
    execution.ask(failing, StepRequest(1), NOW, aside=True)
    execution.tell(Failed(failing, 1, None, None, "no", 1))
    execution.make("b")
    execution.failed()
    assert execution.take_entries() == (Failed(failing, 1, None, None, "no", 1),)


def test_a_call_that_was_made_before_a_failure_keeps_it_when_the_handler_comes_to_it() -> None:
    execution = Execution()
    failing, other = execution.make("a"), execution.make("b")
    execution.ask(failing, StepRequest(1), NOW)
    failure = Failed(failing, 1, None, None, "no", 1)
    execution.tell(failure)
    execution.ask(other, StepRequest(2), NOW)
    execution.failed()
    assert execution.take_entries() == (failure,)


def test_a_retry_of_a_step_waits_until_it_is_due() -> None:
    execution = Execution([Attempted("a#0", 1, 2, NOW + 50, "no", NOW)])
    position = execution.make("a")
    assert execution.ask(position, StepRequest(1), NOW) == ParkAnswer(NOW + 50)
    assert execution.ask(position, StepRequest(1), NOW + 50) == Perform(3, begun=True, first=NOW)


def test_a_step_in_doubt_is_performed_as_begun() -> None:
    assert run(Execution([Begun("a#0", 1, "undo", b"")]), [Call("a", StepRequest(1))]) == [Perform(1, begun=True)]


def test_a_sleep_ends_at_the_time_at_which_it_was_opened_to_end() -> None:
    execution = Execution()
    assert execution.ask(execution.make("s"), SleepRequest(50), NOW) == ParkAnswer(NOW + 50)
    journal = execution.take_entries()
    assert journal == (SleepOpened("s#0", NOW + 50),)
    again = Execution(journal)
    assert again.ask(again.make("s"), SleepRequest(9_999), NOW + 49) == ParkAnswer(NOW + 50)
    assert again.ask("s#0", SleepRequest(9_999), NOW + 50) == Recorded(Slept("s#0"))


def test_a_wait_keeps_its_deadline_and_what_it_consumed() -> None:
    execution = Execution()
    position = execution.make("w")
    assert execution.ask(position, WaitRequest(("a",), 50), NOW) == Look(NOW + 50)
    assert execution.ask(position, WaitRequest(("a",), 50), NOW + 10) == Look(NOW + 50)
    execution.tell(WaitEnded(position, 9, "a", b""))
    assert execution.consumed == {9}
    journal = execution.take_entries()
    assert journal == (WaitOpened("w#0", ("a",), NOW + 50), WaitEnded("w#0", 9, "a", b""))
    assert Execution(journal).consumed == {9}


def test_a_wait_for_other_types_is_diverged() -> None:
    answers = run(Execution([WaitOpened("w#0", ("a",), None)]), [Call("w", WaitRequest(("b",), None))])
    assert isinstance(answers[0], DivergedAnswer)


def test_a_wait_that_timed_out_consumed_nothing() -> None:
    assert Execution([WaitEnded("w#0", 0, "", b"")]).consumed == set()

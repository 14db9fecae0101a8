"""What a fork takes over of a journal."""

import msgspec
import pytest

from onstage.core.execution import Execution
from onstage.core.fork import FROM_END, forks_in, taken_over
from onstage.core.journal import (
    Abandoned,
    Answered,
    Asked,
    Attempted,
    Begun,
    CancelSeen,
    Continued,
    Entry,
    Forked,
    HandedOver,
    Patched,
    Rejected,
    SleepOpened,
    Stepped,
    TokenDrawn,
    Undone,
    Valued,
)
from onstage.errors import UsageError


def ran(position: str, undo: str | None = None) -> Stepped:
    return Stepped(position, 0, b"1", 0, 1, 0, undo)


def positions(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.position for entry in entries]


def test_what_comes_before_the_step_is_taken_over() -> None:
    journal = (ran("a#0"), Valued("now#0", b"1"), ran("b#0"), ran("a#1"))
    assert taken_over(journal, "b") == ("b#0", journal[:2])
    assert taken_over(journal, "a#1") == ("a#1", journal[:3])
    assert taken_over(journal, "a") == ("a#0", ())
    assert taken_over(journal, FROM_END) == (FROM_END, journal)


def test_what_began_before_the_step_is_taken_over_with_its_end() -> None:
    asked, answered = Asked("gather#0/0/ask x#0", 0, 7, None), Answered("gather#0/0/ask x#0", 0, 9, b"{}")
    journal = (asked, ran("gather#0/1/b#0"), answered, ran("gather#0/0/c#0"))
    assert taken_over(journal, "b") == ("gather#0/1/b#0", (asked, answered))
    assert taken_over(journal, "gather") == ("gather#0/0/ask x#0", ())


def test_a_step_that_had_not_ended_runs_anew_and_its_tokens_are_drawn_anew() -> None:
    journal = (
        TokenDrawn("token/a#0", b"s"), ran("a#0"), Begun("gather#0/0/b#0", 0, "b", b"[]"),
        Attempted("gather#0/0/b#0", 0, 1, 0, "no", 0), SleepOpened("gather#0/2/sleep#0", 9), ran("gather#0/1/c#0"),
    )  # fmt: skip
    _, copied = taken_over(journal, "c")
    assert positions(copied) == ["a#0", "gather#0/2/sleep#0"]
    assert positions(taken_over(journal, FROM_END)[1]) == ["a#0", "gather#0/2/sleep#0", "gather#0/1/c#0"]


def test_a_name_that_several_calls_have_or_none_is_refused_with_the_names_there_are() -> None:
    journal = (ran("gather#0/0/a#0"), ran("gather#0/1/a#0"), Patched("patch x", True), Undone("undo/gather#0/0/a#0"))
    with pytest.raises(UsageError, match="several calls have this name: it has gather#0/0/a, gather#0/1/a"):
        taken_over(journal, "a")
    with pytest.raises(UsageError, match=r'no such call: it has gather#0/0/a, gather#0/1/a\n  to do: .*"end"'):
        taken_over(journal, "patch x")
    with pytest.raises(UsageError, match="it has nothing"):
        taken_over((), "a")
    assert taken_over((), FROM_END) == (FROM_END, ())


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (Asked("ask x#0", 0, 7, None), "has no answer"),
        (HandedOver("s#0", 0, 1, 9, 0), "handed to somebody outside"),
        (CancelSeen("cancel", "a#0"), "cancelled or rejected"),
        (Rejected("reject", "no"), "cancelled or rejected"),
    ],
)
def test_what_cannot_be_relied_on_refuses_the_fork(before: Entry, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        taken_over((before, ran("b#0")), "b")


def test_a_step_that_was_undone_since_cannot_be_taken_over() -> None:
    journal = (ran("a#0", "u"), ran("b#0", "u"), Rejected("reject", "no"), Undone("undo/b#0"))
    assert taken_over(journal, "b") == ("b#0", journal[:1])
    journal = (*journal, Undone("undo/a#0"))
    with pytest.raises(UsageError, match=r"a#0 ran before, and was undone since\n  to do: fork from a#0"):
        taken_over(journal, "b")
    assert taken_over(journal, "a") == ("a#0", ())


def test_the_loser_of_a_race_stays_undone() -> None:
    lost = Abandoned("race#0/1/b#0", 0, b"1", 0, 1, 0, "u")
    journal = (lost, ran("c#0"), Undone("undo/race#0/1/b#0"))
    assert taken_over(journal, "c")[1] == (lost, journal[2])


def test_rounds_of_before_are_taken_over_as_they_are() -> None:
    rounds = (ran("a#0", "u"), Continued("continue", b"1"), ran("a#0", "u"))
    journal = (*rounds, ran("b#0"))
    assert taken_over(journal, "b")[1] == rounds
    assert taken_over(journal, "a")[1] == rounds[:2]
    with pytest.raises(UsageError, match="1/a#0 ran before"):
        taken_over((*journal, Rejected("reject", ""), Undone("undo/a#0"), Undone("undo/1/a#0")), "a")


def test_a_step_keeps_the_key_of_who_ran_it_first_through_forks_and_rounds() -> None:
    journal: tuple[Entry, ...] = (ran("a#0", "u"), Forked("fork", "first", "b#0"), ran("b#0", "u"))
    journal = (*journal, Forked("fork", "second", "c#0"), ran("c#0", "u"))
    holders = Execution(journal).key_holders
    assert {at: holders[at] for at in ("a#0", "b#0")} == {"a#0": "first", "b#0": "second"}
    assert "c#0" not in holders
    later = Execution((*journal, Continued("continue", b"1"), ran("a#0", "u"), Continued("continue", b"2")))
    assert later.key_holders == {"6/a#0": "first", "6/b#0": "second"}
    assert later.renewal is not None
    assert [entry.position for entry in later.renewal.finished] == ["6/a#0", "6/b#0", "6/c#0", "8/a#0"]


def test_an_execution_without_a_fork_holds_no_keys_and_never_asks_for_the_mark() -> None:
    assert Execution((ran("a#0"),)).key_holders == {}
    forked = Execution((ran("a#0"), Forked("fork", "first", "b#0")))
    assert forked.make("a") == "a#0"
    assert forked.ended() is None
    assert forked.length == 2


def test_the_note_of_an_original_names_its_forks() -> None:
    assert forks_in(msgspec.msgpack.encode(["a", "b"])) == ["a", "b"]

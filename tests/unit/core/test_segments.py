"""Segments, as journals tell them."""

from onstage.core.journal import (
    Abandoned,
    Answered,
    Asked,
    Attempted,
    Begun,
    Continued,
    Emitted,
    Entry,
    Failed,
    Stepped,
    Undone,
    WaitEnded,
)
from onstage.core.segments import NEVER_BEGAN, Segment, segments_of


def done(position: str, undo: str | None = "m:undo") -> Stepped:
    return Stepped(position, 0, b"1", 0, 1, 0, undo, b"[]")


def begun(position: str) -> Begun:
    return Begun(position, 0, "m:undo", b"[]")


def names(*journal: Entry) -> list[list[str]]:
    return [[due.position for due in segment.dues] for segment in segments_of(journal)]


def test_an_empty_journal_is_one_segment() -> None:
    assert segments_of(()) == [Segment(0, (), ())]


def test_what_is_heard_begins_a_segment_and_a_timeout_does_not() -> None:
    took, answered = WaitEnded("wait#0", 7, "a.b", b""), Answered("ask#0", 0, 9, b"")
    journal = (Emitted("emit#0", 0, 3), took, Emitted("emit#1", 0, 8), Asked("ask#0", 0, 5, None), answered)
    assert segments_of(journal) == [Segment(0, (3,), ()), Segment(7, (8, 5), ()), Segment(9, (), ())]
    assert len(segments_of((WaitEnded("wait#0", 0, "", b""), Answered("ask#0", 0, 0, b"")))) == 1


def test_a_start_that_somebody_else_made_is_no_output() -> None:
    assert segments_of((Asked("ask#0", 0, 5, None, joined=True),)) == [Segment(0, (), ())]


def test_steps_with_an_undo_are_due_in_the_segment_in_which_they_end() -> None:
    took = WaitEnded("wait#0", 7, "a.b", b"")
    assert names(done("a#0"), done("plain#0", None), begun("b#0"), took, done("b#0")) == [["a#0"], ["b#0"]]


def test_a_step_that_was_begun_is_in_doubt_until_it_has_ended_or_failed() -> None:
    failed = Failed("a#0", 0, None, None, "no", 1)
    assert names(begun("a#0")) == [["a#0"]]
    assert names(begun("a#0"), Attempted("a#0", 0, 1, 5, "later", 1)) == [["a#0"]]
    assert names(begun("a#0"), failed) == [[]]
    assert names(begun("a#0"), Attempted("a#0", 0, 0, 0, NEVER_BEGAN, 0)) == [[]]


def test_what_was_undone_is_not_due_again() -> None:
    lost = Abandoned("b#0", 0, b"1", 0, 1, 0, "m:undo", b"[]")
    assert names(done("a#0"), lost, Undone("undo/b#0")) == [["a#0"]]


def test_steps_of_earlier_rounds_keep_the_names_under_which_they_are_undone() -> None:
    rounds = (done("a#0"), done("b#0"), Continued("continue", b"{}"), done("a#0"))
    assert names(*rounds) == [["3/a#0", "3/b#0", "a#0"]]
    assert names(*rounds, Undone("undo/3/b#0"), Undone("undo/a#0")) == [["3/a#0"]]

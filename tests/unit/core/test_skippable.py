"""Which steps may be skipped, read from journals."""

from onstage.core.journal import Abandoned, Attempted, Begun, Entry, HandedOver, Rejected, Stepped, Undone
from onstage.core.segments import Due
from onstage.core.skippable import Skippable, name_of, named, open_steps, open_undos

DONE = Stepped("pay#0", 1, b"1", 0, 1, 5, "m.pay", b"[]")
LOST = Abandoned("1/pay#1", 1, b"1", 0, 1, 5, "m.pay", b"[]")


def test_what_was_begun_or_tried_and_has_not_ended_may_be_skipped() -> None:
    entries: list[Entry] = [
        DONE,
        Begun("0/book#0", 1, "m.book", b"[]"),
        Attempted("call#0", 1, 2, 9, "no", 1),
        HandedOver("sign#0", 1, 1, 9, 1),
        Begun("seat#0", 1, "m.seat", b"[]"),
        Stepped("seat#0", 1, b"1", 0, 1, 5, "m.seat", b"[]"),
    ]
    assert [each.step for each in open_steps(entries)] == ["0/book#0", "call#0", "sign#0"]
    assert not any(each.is_undo for each in open_steps(entries))


def test_a_step_without_an_entry_is_known_from_its_failure() -> None:
    error = "onstage.errors.StepFailed: step pay failed after 1 attempt: no\n  at shop.py:3 in take"
    assert open_steps([DONE], error) == [Skippable("pay#1", "pay#1", is_undo=False)]
    assert open_steps([Attempted("pay#0", 1, 0, 0, "no", 0)], error)[0].step == "pay#0"
    assert open_steps([DONE], "ValueError: the step pay was wrong") == []


def test_of_an_execution_that_rejected_the_undos_are_left_the_last_first() -> None:
    entries: list[Entry] = [DONE, LOST, Rejected("reject", "no credit")]
    assert open_steps(entries) == [
        Skippable("undo/1/pay#1", "1/pay#1", is_undo=True),
        Skippable("undo/pay#0", "pay#0", is_undo=True),
    ]
    assert [each.step for each in open_steps([*entries, Undone("undo/1/pay#1")])] == ["pay#0"]


def test_of_an_undo_run_a_step_in_doubt_ends_before_it_is_undone() -> None:
    begun = Begun("book#0", 1, "m.book", b"[]")
    dues = (Due("pay#0", DONE), Due("book#0", begun))
    places = [each.taken_at for each in open_undos((), dues, ["book#0"])]
    assert places == ["undo/finish/book#0", "undo/book#0", "undo/pay#0"]
    ended = (Stepped("undo/finish/book#0", 1, b"1", 0, 1, 5),)
    assert [each.taken_at for each in open_undos(ended, dues, ["book#0"])] == places[1:]
    assert [each.taken_at for each in open_undos((Undone("undo/book#0"),), dues, ["book#0"])] == ["undo/pay#0"]


def test_a_step_is_meant_by_its_name_or_its_position() -> None:
    found = open_steps([Begun("0/pay#0", 1, "m.pay", b"[]"), Begun("1/pay#0", 1, "m.pay", b"[]")])
    assert len(named(found, "pay")) == 2
    assert [each.step for each in named(found, "1/pay#0")] == ["1/pay#0"]
    assert named(found, "pa") == []
    assert name_of("2/0/m.pay#3") == "m.pay"

"""Which processes are decided to be undone: by what asked for it and by what can be, in either order."""

from collections.abc import Collection

from onstage.core.commit import NewEvent, NewProcess
from onstage.core.journal import Abandoned, Begun, Stepped
from onstage.core.undoing import REJECTION, decode_undoing
from onstage.stores.process_row import ProcessRow
from onstage.stores.undo_decisions import UndoDecisions, can_be_undone

LOST, PAID = 3, 2


def decisions(*stored: int) -> UndoDecisions:
    def versions(processes: Collection[int]) -> list[tuple[int, int]]:
        return [(process, 1) for process in processes if process in stored]

    return UndoDecisions({"order": {LOST}}, versions)


def process(declared: str | None = "order") -> ProcessRow:
    row = ProcessRow.new(NewProcess(7, declared, "k", 1_000, "wire-7"))
    row.outcome = "lost"
    return row


def event(type: int = LOST) -> NewEvent:
    return NewEvent(9, 7, type, None, 5, 0, 1, b"{}")


def test_whichever_comes_last_decides() -> None:
    for turns in ("be", "eb"):
        own, row = decisions(), process()
        for turn in turns:
            assert not own.rows.newest
            own.began(row, 50) if turn == "b" else own.ended(row, event(), 50)
        assert decode_undoing(own.rows.newest[7].body).exempt == 9


def test_an_outcome_alone_and_a_step_alone_decide_nothing() -> None:
    own = decisions()
    ended, began = process(), process()
    own.ended(ended, event(), 50)
    own.began(began, 50)
    own.ended(began, event(PAID), 50)
    assert (ended.asked, ended.undoable) == (9, 0)
    assert (began.asked, began.undoable) == (0, 1)
    assert not own.rows.newest


def test_a_rejection_asks_and_an_outcome_after_it_is_exempt_all_the_same() -> None:
    own, row = decisions(), process()
    own.rejected(row, 50)
    assert row.asked == REJECTION
    own.ended(row, event(), 60)
    own.began(row, 70)
    assert decode_undoing(own.rows.newest[7].body).exempt == 9


def test_a_process_that_is_not_undone_or_must_not_be_is_left_alone() -> None:
    others, decided, row = decisions(), decisions(7), process("other")
    others.began(row, 50)
    others.rejected(row, 50)
    others.ended(row, event(), 50)
    decided.began(process(), 50)
    granted = process()
    decided.began(granted, 50)
    decided.rejected(granted, 50)
    assert (row.asked, granted.asked) == (0, REJECTION)
    assert not others.rows.newest
    assert not decided.rows.newest


def test_only_a_step_with_an_undo_can_be_undone() -> None:
    assert not can_be_undone([Stepped("a#0", 1, b"", 1, 1, 5)])
    assert can_be_undone([Stepped("a#0", 1, b"", 1, 1, 5), Begun("b#0", 1, "shop:b", b"")])
    assert can_be_undone([Stepped("a#0", 1, b"", 1, 1, 5, "shop:a")])
    assert can_be_undone([Abandoned("a#0", 1, b"", 1, 1, 5, "shop:a")])

"""What is said to whoever wants undone what cannot be."""

import pytest

from onstage.core.undoing import COMPENSATING, PIVOTED, Undoing, first_row
from onstage.errors import UsageError
from onstage.ports.store import ProcessView
from onstage.runtime.wave_answers import decided_before, has_ended, refuse_wrong_word


def view(*, open_: int = 0, outcome: str | None = None) -> ProcessView:
    return ProcessView(1, "store-1-1", "order", "o1", 0, open_, outcome, 1, None if open_ else 2)


def test_who_comes_second_is_told_what_was_decided() -> None:
    assert decided_before(view(), first_row(1, COMPENSATING, Undoing("why", 5))).endswith("is compensating already")
    with pytest.raises(UsageError, match=r"has passed its pivot(.|\n)*why: the train left"):
        decided_before(view(), first_row(1, PIVOTED, Undoing("the train left", 5)))


@pytest.mark.parametrize(("view_", "completed"), [(view(open_=1), False), (view(outcome="paid"), True), (view(), True)])
def test_the_right_word_passes(view_: ProcessView, completed: bool) -> None:
    refuse_wrong_word(view_, completed=completed)
    assert view_.wire_id == "store-1-1"


def test_the_wrong_word_is_refused_with_the_other_one() -> None:
    with pytest.raises(UsageError, match=r"has ended with paid(.|\n)*`onstage undo` it"):
        refuse_wrong_word(view(outcome="paid", open_=1), completed=False)
    with pytest.raises(UsageError, match=r"has not ended(.|\n)*`onstage cancel` it"):
        refuse_wrong_word(view(open_=1), completed=True)
    assert "has ended without an outcome" in str(has_ended(view()))

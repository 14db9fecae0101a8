"""I6: steps that a rejected execution left, undid twice or out of order are seen."""

import pytest
from tests.unit.testing.checks.filing import File

from onstage.core.journal import Emitted, Entry, Rejected, Stepped, Undone
from onstage.events.receipt import Status
from onstage.testing.checks.undone_steps import undone_badly

ONE, TWO = (Stepped(f"charge#{n}", 1, b"", 1, 1, 1, "refund", b"") for n in range(2))
REJECTED = Rejected("reject", "no")
NOT_ONE, NOT_TWO = Undone("undo/charge#0"), Undone("undo/charge#1")


@pytest.mark.parametrize(
    ("entries", "complaints"),
    [
        ((ONE, TWO, REJECTED, NOT_TWO, NOT_ONE), 0),
        ((ONE, TWO, REJECTED, NOT_ONE, NOT_TWO), 1),
        ((ONE, TWO, REJECTED, NOT_TWO), 1),
        ((ONE, REJECTED, NOT_ONE, NOT_ONE), 1),
        ((ONE, REJECTED, Emitted("emit a#0", 1, 5), NOT_ONE), 1),
    ],
)
def test_each_step_is_undone_once_the_last_one_first(file: File, entries: tuple[Entry, ...], complaints: int) -> None:
    file.execution(1, Status.REJECTED, *entries)
    file.execution(2, Status.DONE, ONE)
    assert len(list(undone_badly(file.look()))) == complaints

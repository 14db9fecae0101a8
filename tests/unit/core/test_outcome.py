"""What was said of a step from outside, as the exception that its attempt fails with."""

from onstage.core.outcome import Outcome
from onstage.errors import CompletionFailed


class Declined(Exception):
    pass


class Picky(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one, two)


def failure(kind: str | None) -> Outcome:
    return Outcome(1, "pay#0", 1, None, "no money", kind)


def test_a_named_exception_is_rebuilt() -> None:
    error = failure("Declined").as_error((KeyError, Declined))
    assert type(error) is Declined
    assert error.args == ("no money",)


def test_any_other_is_a_failed_completion() -> None:
    for kind in (None, "Declined", "Picky"):
        error = failure(kind).as_error((Picky,))
        assert type(error) is CompletionFailed
        assert error.error == "no money"

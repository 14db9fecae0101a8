"""The error tree: who must act, and texts that survive a trip to another process."""

import copy
import pickle

import pytest

from onstage import errors

LEAVES = [getattr(errors, name) for name in errors.__all__ if name != "refusal"]
SAMPLES = [
    errors.refusal("what", "why", "mend", "file.py:1"),
    errors.InvalidEvent("id is missing"),
    errors.StepFailed("charge", "ConnectionError: no", 3),
    errors.Reject("sold out"),
    errors.AskFailed("shop.get-quote", "rejected", "sold out"),
    errors.RetryAfter("30s", "rate limit"),
    errors.Diverged("- a\n+ b"),
    errors.StoreBusy("locked"),
]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_error_is_in_the_tree_and_says_what_to_do(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.OnstageError) or kind is errors.Cancelled  # which no `except Exception` may catch
    assert kind.__doc__


def test_a_refusal_has_three_lines() -> None:
    error = errors.refusal("no such\nthing", "it is\n  missing", "add it", "shop.py:12")
    assert str(error).splitlines() == ["shop.py:12: no such thing", "  why: it is missing", "  to do: add it"]
    assert (error.what, error.why, error.mend, error.where) == (
        "no such thing",
        "it is missing",
        "add it",
        "shop.py:12",
    )


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickle_and_copy(error: Exception) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - made one line above
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_a_failed_step_names_the_step_the_attempts_and_the_error() -> None:
    assert str(errors.StepFailed("charge", "no route", 3)) == "step charge failed after 3 attempts: no route"
    assert str(errors.StepFailed("charge", "no route", 1)) == "step charge failed after 1 attempt: no route"


def test_retry_after_keeps_the_delay_as_it_was_given() -> None:
    assert errors.RetryAfter("30s").delay == "30s"
    assert str(errors.RetryAfter("30s", "busy")) == "retry after 30s: busy"

"""How errors are told."""

from typing import Any

import apsw
import click
import pytest

from onstage.cli.failures import Exit, Failure, code_of, report, text_of
from onstage.errors import InvalidEvent, NodeRunning, StoreUnavailable, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure("a", "b", "c", code=Exit.USAGE), 2),
        (UsageError("x"), 2),
        (InvalidEvent("x"), 1),
        (NodeRunning("x"), 3),
        (StoreUnavailable("x"), 3),
        (apsw.BusyError("x"), 3),
        (LookupError("x"), 1),
        (RuntimeError("x"), 1),
    ],
)
def test_an_error_has_an_exit_code(error: Any, code: Any) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    "error", [Failure("a", "b", "c"), LookupError("x"), apsw.BusyError("x"), OSError("x"), KeyError("x")]
)
def test_every_error_is_told_in_three_lines(error: Any) -> None:
    what, why, mend = text_of(error).splitlines()
    assert what
    assert why.startswith("  why: ")
    assert mend.startswith("  to do: ")


def test_an_interruption_is_told_by_its_code_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt()) == 130
    assert report(click.UsageError("no")) == 2
    assert "Traceback" not in capsys.readouterr().err

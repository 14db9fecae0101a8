"""How things are printed."""

from typing import Any

import pytest

from onstage.cli.printing import age, clean, plural, print_table, shortened


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0ms"), (999, "999ms"), (1000, "1s"), (61_000, "1m 1s"), (3_600_000, "1h"), (90_061_000, "1d 1h")],
)
def test_an_age_is_said_as_people_say_it(ms: Any, text: str) -> None:
    assert age(ms) == text
    assert age(-ms) in (f"-{text}", "0ms")


def test_control_characters_are_shown_and_not_sent() -> None:
    assert clean("a\x1b[2J\nb\u202ec") == "a\\x1b[2J\\x0ab\\x202ec"


def test_columns_line_up_also_with_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["KEY", "NOW"], [["王冠", "a"], ["o1", "b"]])
    assert capsys.readouterr().out.splitlines() == ["KEY   NOW", "王冠  a", "o1    b"]


def test_a_text_is_cut_to_columns() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("王冠王冠", 5) == "王冠…"
    assert shortened("abc", 3) == "abc"


def test_plurals() -> None:
    assert [plural(1, "process"), plural(2, "process"), plural(2000, "event")] == [
        "1 process",
        "2 processes",
        "2,000 events",
    ]

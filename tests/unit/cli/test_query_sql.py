"""`onstage sql`: it answers questions and changes nothing."""

from typing import Any

import pytest


def test_a_question_is_answered(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert tiny.json("sql", "select key, open from onstage_process") == [{"key": "o1", "open": 0}]
    assert "o1" in tiny.run("sql", "select * from onstage_process").stdout
    assert tiny.run("sql", "-", input="select 1 as one").stdout.split() == ["one", "1"]


def test_payloads_are_shown_as_text(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert tiny.json("sql", "select data from onstage_event where n = 1") == [{"data": '{"order_id":"o1","amount":5}'}]


def test_rows_are_limited_and_it_says_so(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 5))
    result = tiny.run("sql", "select n from onstage_event", "-n", "2")
    assert len(result.stdout.splitlines()) == 3
    assert "only the first 2 rows" in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "delete from onstage_event",
        "select 1; drop table onstage_event",
        "vacuum into 'stolen.db'",
        "attach 'other.db' as other",
        "pragma journal_mode = delete",
        "pragma user_version = 7",
        "begin",
    ],
)
def test_a_change_is_refused(tiny: Any, text: str) -> None:
    tiny.play(("o1", 5))
    result = tiny.run("sql", text)
    assert result.exit_code == 2
    assert "the statement is refused" in result.stderr
    assert not (tiny.folder / "stolen.db").exists()
    assert tiny.json("events", "show", "1")["subject"] == "o1"


def test_a_typing_error_is_told(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert "syntax error" in tiny.run("sql", "selec").stderr
    assert "select name from sqlite_schema" in tiny.run("sql", "select 1 from onstage_events").stderr

"""`onstage subscriptions`: who hears what, and history once more."""

from typing import Any

import pytest

from onstage.cli.list_subscriptions import progress


def test_every_handler_is_listed_with_what_it_hears(tiny: Any) -> None:
    tiny.play(("o1", 5))
    rows = {row["handler"]: row for row in tiny.json("subscriptions", "ls")}
    assert sorted(rows) == ["mail.thank", "payment.take_payment"]
    assert rows["mail.thank"]["hears"] == ["order-paid"]
    assert (rows["mail.thank"]["gating"], rows["mail.thank"]["start"]) == (True, "new")
    assert "2 subscriptions shown" in tiny.run("subscriptions", "ls").output


def test_a_replay_is_counted_first_then_noted_and_shown(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 6), ("o3", 7))
    command = ("subscriptions", "replay", "mail.thank", "--after", "0")
    assert "would deliver 3 events to mail.thank" in tiny.run(*command, "--dry-run").stdout
    assert tiny.json("subscriptions", "replay", "mail.thank", "--after", "2", "--to", "4", "--dry-run")["events"] == 1
    assert tiny.run(*command).exit_code == 2  # there is nobody to ask
    assert [row["handler"] for row in tiny.json("subscriptions", "ls")] == ["mail.thank", "payment.take_payment"]
    assert "delivers 3 events to mail.thank once more, as mail.thank@1" in tiny.run(*command, "--yes").stdout
    (row,) = [row for row in tiny.json("subscriptions", "ls") if row["handler"] == "mail.thank@1"]
    assert (row["start"], row["gating"], row["history"]["given"]) == ("replay", False, 0)
    assert "at event 0 of 6" in tiny.run("subscriptions", "ls").output
    for command in ("doctor", "ps"):
        assert "history of mail.thank@1: 0 events delivered, at event 0 of 6" in tiny.run(command).output
    tiny.play(("o4", 8))
    (row,) = [row for row in tiny.json("subscriptions", "ls") if row["handler"] == "mail.thank@1"]
    assert row["history"]["given"] == 3
    assert "(replay 1)" in tiny.run("show", "o1").stdout


def test_times_are_iso_or_a_duration_ago(tiny: Any) -> None:
    tiny.play(("o1", 5))
    command = ("subscriptions", "replay", "mail.thank", "--dry-run", "--from")
    assert tiny.json(*command, "1h")["events"] == 1
    assert tiny.json(*command, "2999-01-01")["events"] == 0
    assert tiny.json(*command, "2020-01-01T08:00+02:00", "--to", "2020-01-02")["events"] == 0
    assert "no event fits" in tiny.run(*command, "2999-01-01").stdout


@pytest.mark.parametrize(
    "arguments",
    [("mail.thank",), ("mail.thank", "--after", "0", "--from", "1h"), ("mail.thank", "--from", "soon"), ()],
)
def test_what_cannot_be_meant_is_refused(tiny: Any, arguments: tuple[str, ...]) -> None:
    tiny.play(("o1", 5))
    assert tiny.run("subscriptions", "replay", *arguments).exit_code == 2


def test_an_unknown_handler_is_named_with_those_that_there_are(tiny: Any) -> None:
    tiny.play(("o1", 5))
    result = tiny.run("subscriptions", "replay", "mail.other", "--after", "0")
    assert result.exit_code == 2
    assert "the app has mail.thank, payment.take_payment" in result.output


def test_progress_is_said_in_words() -> None:
    course = {"given": 1_200, "skipped": 3, "ended": 0, "after": 2_000, "until": 9_000}
    assert progress(course) == "1,200 events delivered, 3 skipped, at event 2,000 of 9,000"
    assert progress(course | {"ended": 5, "skipped": 0}) == "1,200 events delivered, complete"

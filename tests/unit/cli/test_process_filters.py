"""Filters of `onstage ps`, and what acts on all that they mean."""

from typing import Any

import click
import pytest

from onstage.cli.process_filters import is_filtered, milliseconds


def test_all_that_are_under_way_are_cancelled_after_a_look(tiny: Any) -> None:
    tiny.play(("o1", 2000), ("o2", 2000), ("o3", 5))
    keys = {row["process"]: row["key"] for row in tiny.json("ps")}
    looked = tiny.json("cancel", "--type", "order-placed", "--dry-run")
    assert looked["dry_run"] is True
    assert sorted(keys[each] for each in looked["processes"]) == ["o1", "o2"]
    shown = tiny.run("cancel", "--verdict", "waiting", "--dry-run")
    assert "would cancel 2 processes; nothing was done" in shown.stdout
    assert "would cancel o1" in shown.stderr
    assert tiny.json("show", "o1")["verdict"]["status"] == "waiting"
    assert tiny.run("cancel", "--key", "o1").exit_code == 2  # nobody to ask
    done = tiny.json("cancel", "--type", "order-placed", "--yes")
    assert (sorted(keys[each] for each in done["processes"]), done["refused"]) == (["o1", "o2"], [])
    tiny.play(("o4", 5))
    assert {tiny.json("show", key)["verdict"]["status"] for key in ("o1", "o2")} == {"compensated"}
    assert "no process fits" in tiny.run("cancel", "--key", "o1", "--yes").stdout


def test_all_that_have_ended_are_undone_and_one_that_cannot_be_is_told(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000))
    (process,) = tiny.json("undo", "--since", "1h", "--yes")["processes"]
    again = tiny.json("undo", "--type", "order-placed", "--yes")
    tiny.play(("o3", 5))
    assert tiny.json("show", "o1")["verdict"]["status"] == "compensated"
    assert tiny.json("show", "o2")["verdict"]["status"] == "waiting"
    assert again["refused"] == []
    assert process in [row["process"] for row in tiny.json("ps", "--verdict", "compensated")]
    refused = tiny.json("cancel", "--key", "o2", "--terminate", "--yes", code=1)
    assert refused["processes"] == []
    assert "nothing on this store answers" in refused["refused"][0]["reason"]


@pytest.mark.parametrize("command", ["cancel", "undo"])
def test_a_key_and_filters_are_not_both_given_and_not_both_left_out(tiny: Any, command: str) -> None:
    for arguments in ((), ("o1", "--stuck")):
        refused = tiny.run(command, *arguments)
        assert refused.exit_code == 2
        assert "filter" in refused.stderr


def test_a_filter_counts_only_if_it_was_given() -> None:
    assert not is_filtered({"key": None, "stuck": False, "verdicts": ()})
    assert is_filtered({"key": None, "stuck": True, "verdicts": ()})
    assert milliseconds("90s") == 90_000
    with pytest.raises(click.UsageError, match="--older"):
        milliseconds("soon", "--older")

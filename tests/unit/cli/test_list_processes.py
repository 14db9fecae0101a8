"""`onstage ps`, on a real file, without a node."""

from typing import Any

from tests.unit.cli.apart_stage import play_apart


def test_every_process_is_listed_with_its_verdict(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000), ("o3", -1))
    rows = {row["key"]: row for row in tiny.json("ps")}
    assert {key: row["verdict"] for key, row in rows.items()} == {"o1": "completed", "o2": "waiting", "o3": "stuck"}
    assert rows["o1"]["now"] == "order-paid"
    assert "waits for order-approved until" in rows["o2"]["now"]
    assert "negative amount" in rows["o3"]["now"]


def test_the_newest_comes_first_and_the_limit_holds(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 5), ("o3", 5))
    assert [row["key"] for row in tiny.json("ps", "--limit", "2")] == ["o3", "o2"]


def test_filters_can_be_combined(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000), ("o3", -1))
    assert [row["key"] for row in tiny.json("ps", "--open")] == ["o3", "o2"]
    assert [row["key"] for row in tiny.json("ps", "--stuck")] == ["o3"]
    assert [row["key"] for row in tiny.json("ps", "--open", "--key", "o2")] == ["o2"]
    assert [row["key"] for row in tiny.json("ps", "--key", "o1", "--stuck")] == []
    assert len(tiny.json("ps", "--type", "order")) == 3
    assert len(tiny.json("ps", "--type", "order-placed")) == 3
    assert tiny.json("ps", "--type", "other") == []
    assert len(tiny.json("ps", "--since", "1h")) == 3
    assert tiny.json("ps", "--since", "0s") == []


def test_who_queues_behind_a_dead_letter_is_among_the_stuck_and_nobody_else(tiny: Any) -> None:
    tiny.play(("o1", -1))
    for key in ("o1", "o2"):
        tiny.run("emit", "order-placed", f'{{"order_id": "{key}", "amount": 5}}')
    rows = tiny.json("ps", "--stuck")
    assert [(row["key"], row["verdict"]) for row in rows] == [("o1", "stuck"), ("o1", "stuck")]
    assert "behind a dead letter" in rows[0]["now"]


def test_a_wrong_duration_is_a_usage_error(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert tiny.run("ps", "--since", "yesterday").exit_code == 2


def test_people_see_a_table_and_the_counts(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o3", -1))
    result = tiny.run("ps")
    assert result.stdout.splitlines()[0].split() == ["KEY", "PROCESS", "VERDICT", "AGE", "NOW"]
    assert "2 of 2 processes shown; 1 completed, 1 open, 1 dead letter" in result.stderr
    assert "no node runs on this store" in result.stderr


def test_what_a_stranger_wrote_does_nothing_to_the_terminal(tiny: Any) -> None:
    tiny.play(("o\x1b[2J", 5), ("o3", -1))
    assert "\x1b" not in tiny.run("ps").output


def test_a_store_that_is_not_there_is_unreachable_and_is_not_made(tiny: Any) -> None:
    result = tiny.run("ps")
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 3
    assert not tiny.store.exists()


def test_an_observers_store_shows_whole_processes(tiny: Any) -> None:
    play_apart(tiny, ("o1", 5), ("o2", 5000))
    rows = {row["key"]: row for row in tiny.json("ps", "--store", "sqlite:///view.db")}
    assert (rows["o1"]["verdict"], rows["o1"]["outcome"]) == ("completed", "order-paid")
    assert rows["o2"]["verdict"] == "waiting"
    said = tiny.run("ps", "--store", "sqlite:///view.db").stderr
    assert "no observer writes to this store" in said
    assert "no node runs" not in said


def test_a_part_says_that_the_rest_is_elsewhere(tiny: Any) -> None:
    process, _ = play_apart(tiny, ("o1", 5), ("o2", 5))
    for part in ("payment", "mail"):
        (row,) = tiny.json("ps", "--key", "o1", "--store", f"sqlite:///{part}.db")
        assert (row["process"], row["verdict"]) == (process, "running")
        assert row["now"] == "parts of it are in other services, or on their way"
        assert "this store has one service's part" in tiny.run("ps", "--store", f"sqlite:///{part}.db").stderr

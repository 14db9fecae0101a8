"""`onstage dead`, without a node: the app is opened as a client."""

from typing import Any

import pytest
from tests.unit.cli.apart_stage import play_apart


@pytest.fixture
def dead(tiny: Any) -> Any:
    tiny.play(("o1", -1), ("o2", -1), ("o3", 5))
    return [row["execution"] for row in tiny.json("dead", "ls")]


def test_dead_letters_are_listed_with_their_error(tiny: Any, dead: Any) -> None:
    assert len(dead) == 2
    text = tiny.run("dead", "ls").output
    assert "ValueError: a negative amount" in text
    assert "2 of 2 dead letters shown" in text
    assert tiny.json("dead", "ls", "--handler", "mail.thank") == []


def test_one_is_shown_with_its_event_and_its_whole_error(tiny: Any, dead: Any) -> None:
    text = tiny.run("dead", "show", str(dead[0])).stdout
    assert '{"order_id":"o1","amount":-1}' in text
    assert "Traceback" in text or "take_payment" in text
    assert tiny.run("dead", "show", "1").exit_code == 1


def test_a_dropped_one_is_settled(tiny: Any, dead: Any) -> None:
    assert tiny.run("dead", "drop", str(dead[0])).exit_code == 0
    assert [row["execution"] for row in tiny.json("dead", "ls")] == dead[1:]


def test_a_retried_one_is_open_again(tiny: Any, dead: Any) -> None:
    answer = tiny.json("dead", "retry", *map(str, dead))
    assert answer["executions"] == dead
    assert tiny.json("dead", "ls") == []
    assert len(tiny.json("ps", "--open")) == 2


def test_a_dry_run_does_nothing(tiny: Any, dead: Any) -> None:
    result = tiny.run("dead", "drop", "--all", "--dry-run")
    assert "would drop 2 dead letters; nothing was done" in result.stdout
    assert len(tiny.json("dead", "ls")) == 2


def test_what_is_meant_can_be_said_by_key_and_by_error(tiny: Any, dead: Any) -> None:
    first, second = dead
    assert [row["execution"] for row in tiny.json("dead", "ls", "--key", "o2")] == [second]
    assert [row["execution"] for row in tiny.json("dead", "ls", "--error", "negative")] == dead
    assert tiny.json("dead", "ls", "--error", "negative", "--key", "o3") == []
    dry = tiny.json("dead", "retry", "--error", "negative amount", "--key", "o1", "--dry-run")
    assert dry == {"action": "retry", "dry_run": True, "executions": [first]}
    assert tiny.json("dead", "drop", "--key", "o1", "--yes")["executions"] == [first]
    assert [row["execution"] for row in tiny.json("dead", "ls")] == [second]


def test_everything_at_once_needs_a_yes(tiny: Any, dead: Any) -> None:
    assert tiny.run("dead", "drop", "--all").exit_code == 2
    assert len(tiny.json("dead", "ls")) == 2
    assert tiny.run("dead", "drop", "--handler", "payment.take_payment", "--yes").exit_code == 0
    assert tiny.json("dead", "ls") == []


def test_what_is_not_set_aside_is_refused(tiny: Any, dead: Any) -> None:
    result = tiny.run("dead", "retry", "1")
    assert result.exit_code == 1
    assert "there is no execution 1" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("5", "--all")])
def test_it_must_be_clear_which_ones_are_meant(tiny: Any, dead: Any, arguments: Any) -> None:
    assert tiny.run("dead", "drop", *arguments).exit_code == 2


def test_in_an_observers_store_dead_letters_are_listed_and_acted_on_elsewhere(tiny: Any) -> None:
    play_apart(tiny, ("o1", -1))
    (listed,) = tiny.json("dead", "ls", "--store", "sqlite:///view.db")
    assert listed["handler"] == "payment.take_payment"
    before = (tiny.folder / "view.db").read_bytes()
    for action in (["retry", str(listed["execution"])], ["drop", "--all", "--yes"], ["retry", "--all", "--dry-run"]):
        refused = tiny.run("dead", *action, "--store", "sqlite:///view.db")
        assert refused.exit_code == 2
        assert "in an observer's store" in refused.stderr
        assert "the store of payment (--store sqlite:///payment.db)" in refused.stderr
        assert len(refused.stderr.splitlines()) == 3
    assert (tiny.folder / "view.db").read_bytes() == before


def test_a_dead_letter_of_a_part_is_dropped_while_its_node_is_away(tiny: Any) -> None:
    play_apart(tiny, ("o1", -1))
    assert tiny.run("dead", "drop", "--all", "--yes", "--store", "sqlite:///payment.db").exit_code == 0
    assert tiny.json("dead", "ls", "--store", "sqlite:///payment.db") == []

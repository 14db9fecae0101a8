"""`onstage retire`: what a gone handler left open."""

from typing import Any

import pytest


@pytest.fixture
def left(tiny: Any) -> Any:
    """The app has lost the handler that waits."""
    tiny.play(("o1", 5), ("o2", 1000), ("o3", 1000))
    tiny.rewrite(
        ("@payment.on(OrderPlaced, retry=Retry(attempts=1))\n", ""),
        ("@mail.on(OrderPaid)", "@mail.on(OrderPaid, OrderPlaced)"),
    )
    tiny.play(("o4", 5))
    return tiny


def test_what_waits_for_a_gone_handler_is_stuck_and_doctor_says_what_to_do(left: Any) -> None:
    stuck = left.json("ps", "--stuck")
    assert [(row["key"], row["verdict"]) for row in stuck] == [("o3", "stuck"), ("o2", "stuck")]
    assert "no live node has this handler" in stuck[0]["now"]
    found = {finding["what"]: finding for finding in left.json("doctor", code=1)}
    assert "payment.take_payment (2)" in found["handlers"]["found"]
    assert "onstage retire" in found["handlers"]["mend"]
    census = left.json("versions")
    assert [(row["handler"], row["is"], row["open"]) for row in census] == [("payment.take_payment", "gone", 2)]


def test_it_is_counted_asked_and_written_off(left: Any) -> None:
    command = ("retire", "payment.take_payment")
    assert "would write off 2 obligations in 2 processes" in left.run(*command, "--dry-run").stdout
    assert left.run(*command).exit_code == 2
    assert len(left.json("ps", "--open")) == 2
    told = left.json(*command, "--yes")
    assert told == {"handler": "payment.take_payment", "obligations": 2, "processes": 2, "dry_run": False}
    assert left.json("ps", "--open") == []
    assert "written off" in left.run("show", "o2").stdout
    assert "payment.take_payment was retired" in left.run("ps", "--key", "o2").stdout
    (row,) = [row for row in left.json("subscriptions", "ls") if row["retired"]]
    assert (row["handler"], row["written_off"]) == ("payment.take_payment", 2)


def test_one_that_is_still_there_is_refused(tiny: Any) -> None:
    tiny.play(("o2", 1000))
    result = tiny.run("retire", "payment.take_payment", "--yes")
    assert result.exit_code == 2
    assert "the app of this node declares it" in result.output
    assert len(tiny.json("ps", "--open")) == 1

"""`onstage waits`."""

from typing import Any

from tests.unit.cli.apart_stage import play_apart


def test_a_wait_is_listed_with_what_it_waits_for(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000))
    (row,) = tiny.json("waits")
    assert (row["key"], row["handler"], row["for"]) == ("o2", "payment.take_payment", ["order-approved"])
    assert "(in 23h" in tiny.run("waits").stdout
    assert tiny.json("waits", "--type", "order-paid") == []
    assert len(tiny.json("waits", "--type", "order-approved")) == 1


def test_an_observer_knows_who_waits_for_what(tiny: Any) -> None:
    play_apart(tiny, ("o2", 5000))
    (wait,) = tiny.json("waits", "--store", "sqlite:///view.db")
    assert (wait["key"], wait["handler"], wait["for"]) == ("o2", "payment.take_payment", ["order-approved"])
    (timer,) = tiny.json("timers", "--store", "sqlite:///view.db")
    assert timer["handler"] == "payment.take_payment"

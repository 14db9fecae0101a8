"""`onstage waits`."""

from typing import Any


def test_a_wait_is_listed_with_what_it_waits_for(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000))
    (row,) = tiny.json("waits")
    assert (row["key"], row["handler"], row["for"]) == ("o2", "payment.take_payment", ["order-approved"])
    assert "(in 23h" in tiny.run("waits").stdout
    assert tiny.json("waits", "--type", "order-paid") == []
    assert len(tiny.json("waits", "--type", "order-approved")) == 1

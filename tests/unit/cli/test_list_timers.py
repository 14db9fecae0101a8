"""`onstage timers`."""

from typing import Any


def test_the_next_timer_comes_first(tiny: Any) -> None:
    tiny.play(("o1", 2000), ("o2", 5), ("o3", 2000))
    rows = tiny.json("timers")
    assert [row["key"] for row in rows] == ["o1", "o3"]
    assert rows[0]["what"] == "gives up waiting for order-approved"
    assert len(tiny.json("timers", "--limit", "1")) == 1
    assert "gives up waiting" in tiny.run("timers").stdout

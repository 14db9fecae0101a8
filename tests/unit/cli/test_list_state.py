"""`onstage state`, and what `show` tells of it."""

from typing import Any

KEEPING = """
from dataclasses import dataclass

from onstage import App, Service, event
from onstage.state import state


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    amount: int


totals = Service("totals")


@totals.on(OrderPlaced)
async def add_up(e: OrderPlaced) -> None:
    total = await state(int, key=e.order_id, name="total")
    total.set(total.get(0) + e.amount)
    if e.amount == 0:
        total.clear()


app = App(totals)
"""


def test_states_are_listed_and_shown(tiny: Any) -> None:
    (tiny.folder / f"{tiny.module}.py").write_text(KEEPING)
    tiny.play(("o1", 11), ("o2", 7), ("o3", 0))
    rows = tiny.json("state", "ls")
    assert [(row["name"], row["key"], row["version"], row["value"]) for row in rows] == [
        ("totals.total", "o1", 1, 11),
        ("totals.total", "o2", 1, 7),
        ("totals.total", "o3", 2, None),
    ]
    assert [row["key"] for row in tiny.json("state", "ls", "--key", "o2")] == ["o2"]
    assert tiny.json("state", "ls", "--name", "other") == []
    assert "totals.total" in tiny.run("state", "ls", "--limit", "1").stdout
    assert tiny.json("state", "show", "totals.total", "o1")["value"] == 11
    assert "value  7" in tiny.run("state", "show", "totals.total", "o2").stdout
    missing = tiny.run("state", "show", "totals.total", "o9")
    assert missing.exit_code == 1
    assert "there is no state totals.total of o9" in missing.stderr
    shown = tiny.run("show", "o1").stdout
    assert "read state total, version 0" in shown
    assert "set totals.total: version 1" in shown
    assert "state totals.total version 1: 11" in shown
    assert tiny.json("show", "o1")["states"][0]["value"] == 11

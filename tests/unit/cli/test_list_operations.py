"""`onstage audit`."""

import asyncio
from typing import Any


def test_what_an_operator_did_is_listed_with_who_and_what_came_of_it(tiny: Any) -> None:
    tiny.play(("o1", -1))
    number = tiny.json("dead", "ls")[0]["execution"]
    assert tiny.run("dead", "drop", str(number)).exit_code == 0
    assert tiny.run("dead", "drop", str(number)).exit_code == 1
    assert tiny.run("pause", "mail").exit_code == 0
    rows = tiny.json("audit")
    assert [(row["action"], row["target"], row["done"]) for row in rows] == [
        ("pause", "mail", True),
        ("drop", f"execution {number}", False),
        ("drop", f"execution {number}", True),
    ]
    assert rows[2]["result"] == "payment.take_payment was dropped"
    assert all(row["by"] for row in rows)
    assert "was dropped" in tiny.run("audit").stdout


def test_a_running_node_is_told_who_acts(tiny: Any) -> None:
    async def play() -> Any:
        async with tiny.app().run(f"sqlite:///{tiny.store}"):
            await asyncio.to_thread(tiny.run, "pause", "mail")
            await asyncio.to_thread(tiny.run, "retire", "gone.handler", "--yes")
            return await asyncio.to_thread(tiny.json, "audit")

    assert {row["action"] for row in asyncio.run(play())} >= {"pause"}

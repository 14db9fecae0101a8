"""`onstage undo`, and `onstage cancel` of a process that is no workflow."""

from typing import Any

STEP = (
    "@step\nasync def charge",
    "async def refund(result: str, order_id: str) -> None: ...\n\n\n@step(undo=refund)\nasync def charge",
)


def test_what_would_be_undone_is_shown_and_nothing_done(tiny: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 5))
    shown = tiny.json("undo", "o1", "--dry-run")
    assert shown["rounds"] == 1
    assert [(each["handler"], each["step"]) for each in shown["undos"]] == [("payment.take_payment", "charge#0")]
    assert "1 step of process" in tiny.run("undo", "o1", "--dry-run").stdout
    assert tiny.json("show", "o1")["verdict"]["status"] == "completed"


def test_a_process_is_undone_once_the_next_node_runs(tiny: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 5))
    asked = tiny.run("undo", "o1", input="n\n")
    assert asked.exit_code != 0
    assert "undo this?" in asked.output
    assert tiny.json("undo", "o1", "--yes")["told"].endswith("is being undone")
    assert tiny.json("show", "o1")["verdict"]["status"] == "compensating"
    tiny.play(("o2", 5))
    assert tiny.json("show", "o1")["verdict"]["status"] == "compensated"
    listed = tiny.json("ps", "--verdict", "compensated")
    assert [row["key"] for row in listed] == ["o1"]
    assert "1 compensated" in tiny.run("ps").output


def test_nothing_to_undo_is_said_by_the_exit_code(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert tiny.run("undo", "o1", "--dry-run").exit_code == 1


def test_a_process_that_waits_is_cancelled_by_its_key(tiny: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 2000))
    assert "is being undone" in tiny.run("cancel", "o1").stdout
    tiny.play(("o2", 5))
    assert tiny.json("show", "o1")["verdict"]["status"] == "compensated"

"""`onstage cancel`."""

from typing import Any

from tests.unit.cli.workflow_stage import running


def test_a_workflow_is_cancelled_by_its_key_and_says_so_when_it_has_ended(tiny: Any) -> None:
    with running(tiny):
        tiny.run("start", "shop.fulfil", '"slow"', "--id", "o1")
        assert tiny.json("cancel", "o1")["action"] == "cancel"
        failed = tiny.json("start", "shop.fulfil", '"slow"', "--id", "o1", "--wait", code=1)
        assert failed["failed"] == "cancelled"
        again = tiny.run("cancel", "o1")
        assert again.exit_code == 2
        assert "is cancelled" in again.output
    assert "cancelled" in tiny.run("show", "o1").stdout


def test_an_execution_is_terminated_by_its_number(tiny: Any) -> None:
    with running(tiny):
        tiny.run("start", "shop.fulfil", '"slow"', "--id", "o1")
        (root,) = tiny.json("show", "o1")["events"]
        number = root["executions"][0]["id"]
        assert "was terminated" in tiny.run("cancel", str(number), "--terminate").stdout
        failed = tiny.json("start", "shop.fulfil", '"slow"', "--id", "o1", "--wait", code=1)
        assert failed == {"failed": "terminated", "reason": "by an operator"}

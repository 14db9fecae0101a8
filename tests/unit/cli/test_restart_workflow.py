"""`onstage restart`."""

from typing import Any

from tests.unit.cli.workflow_stage import running


def test_a_workflow_is_started_again_with_its_input_as_another_execution(tiny: Any) -> None:
    with running(tiny):
        tiny.run("start", "shop.fulfil", '"slow"', "--id", "o1")
        tiny.run("cancel", "o1")
        again = tiny.json("restart", "o1", "--id", "o1 again")
        assert tiny.json("restart", "o1", "--id", "o1 again")["process"] == again["process"]
        shown = tiny.json("show", again["process"])
        assert shown["key"] == "o1"
        assert shown["events"][0]["data"] == "slow"
        assert shown["events"][0]["executions"][0]["status"] != "cancelled"
        tiny.run("ask", "get-quote", '{"sku": "abc"}', "--id", "q")
        refused = tiny.run("restart", "abc")
        assert refused.exit_code == 2
        assert "its first event is get-quote" in refused.output

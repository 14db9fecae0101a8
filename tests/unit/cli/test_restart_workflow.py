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


def test_a_workflow_that_has_ended_is_forked_from_a_call(tiny: Any) -> None:
    with running(tiny):
        tiny.run("start", "shop.fulfil", '"quick"', "--id", "o1")
        assert tiny.run("restart", "o1", "--from", "nothing").exit_code != 0
        fork = tiny.json("restart", "o1", "--from", "end", "--id", "o1 again")
        assert tiny.json("restart", fork["process"], "--from", "end")["workflow"] == "shop.fulfil"
        assert "forked shop.fulfil from end" in tiny.run("restart", fork["process"], "--from", "end").output
        shown = tiny.json("show", fork["process"])
        journal = shown["events"][0]["executions"][0]["journal"]
        assert any(line.startswith("forked from ") and "at end" in line for line in journal)
        assert sum(line.startswith("was forked as ") for line in journal) == 2
        assert shown["events"][0]["executions"][0]["state"] == {"stage": "waiting for quick"}

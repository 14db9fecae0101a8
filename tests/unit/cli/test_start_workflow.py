"""`onstage start`."""

from typing import Any

import pytest
from tests.unit.cli.workflow_stage import rewrite, running

from onstage.cli.failures import Failure
from onstage.cli.start_workflow import workflow_named


def test_a_workflow_is_started_once_for_an_id_and_shown_with_its_state(tiny: Any) -> None:
    with running(tiny):
        assert tiny.json("start", "shop.fulfil", '"quick"', "--id", "o1", "--wait") == "quick is done"
        assert tiny.json("start", "shop.fulfil", '"quick"', "--id", "o1", "--wait") == "quick is done"
        other = tiny.run("start", "shop.fulfil", '"other"', "--id", "o1")
        assert other.exit_code == 1
        assert "with another input" in other.output
        assert "started shop.fulfil with id o2" in tiny.run("start", "shop.fulfil", '"slow"', "--id", "o2").stdout
        assert tiny.run("start", "shop.fulfil", '"slow"', "--id", "o2", "--wait", "10ms").exit_code == 1
    assert 'state stage = "waiting for slow"' in tiny.run("show", "o2").stdout
    (root,) = tiny.json("show", "o2")["events"]
    assert root["executions"][0]["state"] == {"stage": "waiting for slow"}


def test_without_a_node_it_is_stored_and_waits(tiny: Any) -> None:
    rewrite(tiny)
    result = tiny.run("start", "shop.fulfil", '"quick"', "--id", "o1")
    assert result.exit_code == 0
    assert "it waits for `onstage run`" in result.output


def test_only_workflows_are_started(tiny: Any) -> None:
    rewrite(tiny)
    with pytest.raises(Failure, match=r"there is no workflow shop.quote"):
        workflow_named(tiny.app(), "shop.quote")

"""`onstage ask`."""

from typing import Any

from tests.unit.cli.workflow_stage import rewrite, running


def test_the_answer_is_printed(tiny: Any) -> None:
    with running(tiny):
        assert tiny.json("ask", "get-quote", '{"sku": "abc"}') == 3
        assert tiny.json("ask", "get-quote", '{"sku": ""}', code=1) == {"failed": "rejected", "reason": "no such thing"}
        assert tiny.run("ask", "get-quote", '{"sku": "abc"}', "--timeout", "soon").exit_code == 2
        assert tiny.run("ask", "get-quote", '{"sku": 1}').exit_code == 1


def test_without_a_node_nobody_answers(tiny: Any) -> None:
    rewrite(tiny)
    result = tiny.run("ask", "get-quote", '{"sku": "abc"}')
    assert result.exit_code == 3
    assert "no node runs on this store" in result.output

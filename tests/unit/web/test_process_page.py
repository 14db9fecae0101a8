"""One process for its three panes."""

from typing import Any

from onstage.web.process_page import folds_of
from onstage.web.shown import EventNode


def page(ui: Any, name: str) -> Any:
    return ui().get(f"/api/v1/processes/{name}").json()


def test_a_finished_process_has_its_events_executions_and_lanes(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    found = page(ui, "o1")
    assert found["head"]["verdict"] == "completed"
    assert [event["type"] for event in found["events"]] == ["order-placed", "order-paid"]
    assert found["lanes"] == ["outside", "payment", "mail"]
    payment, mail = found["executions"]
    assert payment["emitted"] == [found["events"][1]["n"]]
    assert [step["kind"] for step in payment["steps"]] == ["step"]
    assert found["events"][1]["cause"] == payment["id"]
    assert mail["event"] == found["events"][1]["n"]
    assert page(ui, found["head"]["process"])["head"]["key"] == "o1"


def test_what_has_not_come_is_expected_and_may_be_emitted_if_it_comes_from_outside(tiny: Any, ui: Any) -> None:
    tiny.play(("o2", 2000))
    found = page(ui, "o2")
    wait = {"type": "order-approved", "kind": "wait", "handler": "payment.take_payment", "from_outside": True}
    assert wait.items() <= found["expected"][0].items()
    assert found["expected"][0]["until_ms"] == found["executions"][0]["due_ms"]
    assert [(each["type"], each["kind"]) for each in found["expected"]][1] == ("order-paid", "emits")


def test_what_is_stuck_says_so_and_can_be_retried(tiny: Any, ui: Any) -> None:
    tiny.play(("o3", -1))
    found = page(ui, "o3")
    assert found["head"]["verdict"] == "stuck"
    assert found["executions"][0]["actions"] == ["retry", "drop"]
    assert "negative amount" in found["executions"][0]["error"]


def test_an_unknown_process_is_not_found(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    answer = ui().get("/api/v1/processes/nowhere")
    assert answer.status_code == 404
    assert "nowhere" in answer.json()["error"]


def test_long_spans_without_anything_are_folded() -> None:
    def at(ms: int) -> EventNode:
        return EventNode(
            n=ms, id="", type="", version=1, key=None, at_ms=ms, cause=0, from_service=None, from_outside=True,
            data="", truncated=False, headers={},
        )  # fmt: skip

    (fold,) = folds_of([at(1_000), at(2_000), at(902_000)], [], 0)
    assert (fold.start_ms, fold.end_ms) == (2_000, 902_000)
    assert folds_of([at(1_000), at(5_000)], [], 0) == ()

"""The undoing of a process as the UI shows it, and what can be done about it through the API."""

from typing import Any

from tests.unit.web.test_actions import csrf

STEP = (
    "@step\nasync def charge",
    "async def refund(result: str, order_id: str) -> None: ...\n\n\n@step(undo=refund)\nasync def charge",
)


def undone(tiny: Any, client: Any) -> Any:
    """The page of o1 once its undoing is over."""
    for number in range(100):
        tiny.play((f"more-{number}", 5))
        page = client.get("/api/v1/processes/o1").json()
        if page["wave"] is not None and page["wave"]["ended_ms"] is not None:
            return page
    raise AssertionError(page["wave"])


def test_the_plan_is_shown_and_nothing_done(tiny: Any, ui: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 5))
    client = ui()
    found = client.get("/api/v1/processes/o1/plan").json()
    assert found["action"] == "undo"
    (line,) = found["plan"]["lines"]
    assert (line["handler"], line["step"], line["state"]) == ("payment.take_payment", "charge#0", "planned")
    assert (found["plan"]["rounds"], found["plan"]["total"], found["plan"]["left"]) == (1, 1, 1)
    page = client.get("/api/v1/processes/o1").json()
    assert (page["wave"], page["actions"]) == (None, ["undo"])
    shown = client.get("/processes/o1?plan=1").text
    assert "What would be undone" in shown
    assert "Undo all of it" in shown
    assert "What would be undone" not in client.get("/processes/o1").text


def test_an_undo_from_the_api_is_decided_once_and_its_lines_are_told(tiny: Any, ui: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 5))
    client = ui()
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        done = client.post("/api/v1/processes/o1/undo", headers=csrf(client))
        assert done.status_code == 404, "a process is named by its public id"
        process = client.get("/api/v1/processes/o1").json()["head"]["process"]
        done = client.post(f"/api/v1/processes/{process}/undo", headers=csrf(client))
        assert done.json()["done"] == [f"process {process} is being undone"]
        again = client.post(f"/api/v1/processes/{process}/undo", headers=csrf(client)).json()["done"]
        assert "already" in again[0]
        assert client.post(f"/api/v1/processes/{process}/drop", headers=csrf(client)).status_code == 404
        refused = client.post(f"/api/v1/processes/{process}/resolve", json={"note": "x"}, headers=csrf(client))
        assert refused.status_code == 409
    wave = undone(tiny, client)["wave"]
    assert (wave["state"], wave["left"], [line["state"] for line in wave["lines"]]) == ("compensated", 0, ["undone"])
    actions = [row["action"] for row in client.get("/api/v1/audit").json()["rows"]]
    assert actions[:2] == ["resolve", "undo"]
    counts = client.get("/api/v1/attention").json()["counts"]
    assert {"verdict": "compensated", "count": 1, "more": False} in counts
    listed = client.get("/api/v1/processes?verdict=compensated").json()["rows"]
    assert [row["key"] for row in listed] == ["o1"]


def test_an_undo_that_cannot_be_done_is_skipped_by_the_step_it_is_of(tiny: Any, ui: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 5))
    tiny.run("undo", "o1", "--yes")
    tiny.rewrite((STEP[1], STEP[0]))
    client = ui()
    for number in range(100):
        tiny.play((f"stuck-{number}", 5))
        page = client.get("/api/v1/processes/o1").json()
        if page["head"]["verdict"] == "stuck":
            break
    (line,) = page["wave"]["lines"]
    assert (line["state"], line["can_skip"]) == ("stuck", True)
    assert "cannot be found" in line["error"]
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        number = line["undo"]
        wrong = client.post(f"/api/v1/executions/{number}/skip", json={"step": "pay"}, headers=csrf(client))
        assert wrong.status_code == 409
        done = client.post(f"/api/v1/executions/{number}/skip", json={"step": "charge#0"}, headers=csrf(client))
        assert done.json()["done"] == ["the undo of step charge#0 counts as done"]
    assert undone(tiny, client)["head"]["verdict"] == "compensated"


def test_what_is_left_needs_somebody_until_it_is_resolved(tiny: Any, ui: Any) -> None:
    tiny.rewrite(STEP)
    tiny.play(("o1", 5))
    tiny.run("undo", "o1", "--yes")
    tiny.rewrite((STEP[1], STEP[0]))
    for number in range(100):
        tiny.play((f"stuck-{number}", 5))
        if tiny.run("dead", "drop", "--all", "--yes").stdout.strip() != "nothing is set aside":
            break
    client = ui()
    page = undone(tiny, client)
    assert (page["wave"]["state"], page["actions"]) == ("compensated with residue", ["resolve"])
    assert [line["state"] for line in page["wave"]["lines"]] == ["given up"]
    (need,) = [each for each in client.get("/api/v1/attention").json()["needs"] if each["kind"] == "residue"]
    assert need["samples"][0]["key"] == "o1"
    assert "dead end" not in {each["kind"] for each in client.get("/api/v1/attention").json()["needs"]}
    tiny.run("resolve", "o1", "--note", "in cash")
    page = client.get("/api/v1/processes/o1").json()
    assert page["head"]["verdict"] == "compensated"
    assert page["wave"]["resolved"].endswith("in cash")
    assert "residue" not in {each["kind"] for each in client.get("/api/v1/attention").json()["needs"]}


def test_of_a_stuck_execution_the_steps_are_named_that_may_be_skipped(tiny: Any, ui: Any) -> None:
    tiny.rewrite(('return f"receipt {order_id}"', 'raise ConnectionError("the bank is closed")'))
    tiny.play(("o1", 5))
    page = ui().get("/api/v1/processes/o1").json()
    assert page["executions"][0]["can_skip"] == ["charge#0"]
    assert page["actions"] == ["cancel"]

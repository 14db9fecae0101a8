"""What an operator does from the web UI."""

from typing import Any

import pytest

from onstage.web.security import CSRF_HEADER


def csrf(client: Any) -> dict[str, str]:
    return {CSRF_HEADER: client.get("/api/v1/session").json()["csrf"]}


def dead(client: Any) -> int:
    (need,) = [each for each in client.get("/api/v1/attention").json()["needs"] if each["kind"] == "dead letter"]
    return int(need["executions"][0])


def test_a_dead_letter_is_dropped_and_the_audit_log_says_who_did_it(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", -1))
    client = ui()
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        number = dead(client)
        answer = client.post(f"/api/v1/executions/{number}/drop", headers=csrf(client))
        assert answer.status_code == 200, answer.text
        assert answer.json()["done"] == [f"{number}: payment.take_payment was dropped"]
        again = client.post(f"/api/v1/executions/{number}/drop", headers=csrf(client))
        assert again.status_code == 409
        assert "why:" in again.json()["error"]
    rows = client.get("/api/v1/audit").json()["rows"]
    assert [(row["action"], row["done"]) for row in rows] == [("drop", False), ("drop", True)]
    assert rows[0]["by"].startswith("web UI at ")


def test_several_are_retried_at_once_and_each_refusal_is_told(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", -1))
    client = ui()
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        number = dead(client)
        answer = client.post("/api/v1/executions/drop", json={"executions": [number, 1]}, headers=csrf(client)).json()
    assert len(answer["done"]) == 1
    assert len(answer["refused"]) == 1


def test_a_handler_is_paused_and_resumed(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui()
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        done = client.post("/api/v1/handlers/mail/pause", json={"why": "holiday"}, headers=csrf(client))
        assert done.json()["done"] == ["mail is paused"]
        row = next(row for row in client.get("/api/v1/services").json()["handlers"] if row["service"] == "mail")
        assert row["paused_why"] == "holiday"
        client.post("/api/v1/handlers/mail/resume", headers=csrf(client))
    assert client.get("/api/v1/services").json()["handlers"][0]["paused_ms"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"type": "order-placed", "data": {"order_id": "t1", "amount": 7}}},
        {"data": {"type": "order-placed", "data": '{"order_id": "t1", "amount": 7}'}},
    ],
)
def test_a_test_event_is_emitted_from_json_and_from_a_form(tiny: Any, ui: Any, body: Any) -> None:
    tiny.play(("o1", 5))
    client = ui()
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        answer = client.post("/api/v1/events", headers=csrf(client), **body)
        assert answer.status_code == 202, answer.text
        process = answer.json()["process"]
    assert client.get(f"/api/v1/processes/{process}").json()["head"]["key"] == "t1"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/executions/1/explode", {}, 404),
        ("/api/v1/executions/retry", {"executions": []}, 400),
        ("/api/v1/executions/retry", {"executions": list(range(501))}, 400),
        ("/api/v1/executions/retry", {"executions": "x"}, 400),
        ("/api/v1/executions/999/retry", {}, 409),
        ("/api/v1/handlers/nobody/pause", {}, 409),
        ("/api/v1/events", {"type": "order-placed", "data": "{"}, 400),
        ("/api/v1/events", {"type": "no-such-type", "data": {}}, 400),
        ("/api/v1/events", {"type": "order-placed", "data": {"order_id": "t", "amount": 1}, "process": "nowhere"}, 404),
    ],
)
def test_what_is_refused_says_why(tiny: Any, ui: Any, path: str, body: Any, status: int) -> None:
    tiny.play(("o1", 5))
    client = ui()
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        answer = client.post(path, json=body, headers=csrf(client))
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_without_a_node_nothing_is_done_and_the_page_says_why(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", -1))
    client = ui()
    assert "no node runs" in client.get("/api/v1/attention").json()["standing"]["why_not"]
    answer = client.post(f"/api/v1/executions/{dead(client)}/retry", headers=csrf(client))
    assert answer.status_code == 409
    assert "no node runs" in answer.json()["error"]


def test_read_only_nothing_is_done_though_a_node_runs(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", -1))
    client = ui(read_only=True)
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        answer = client.post(f"/api/v1/executions/{dead(client)}/drop", headers=csrf(client))
        assert answer.status_code == 409
        assert dead(client)

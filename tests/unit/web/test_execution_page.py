"""One execution."""

from typing import Any


def test_the_journal_is_told_entry_by_entry_page_by_page(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui()
    number = client.get("/api/v1/processes/o1").json()["executions"][0]["id"]
    whole = client.get(f"/api/v1/executions/{number}").json()
    assert whole["process"]["key"] == "o1"
    assert [line["position"] for line in whole["journal"] if line["kind"] == "step"] == ["charge"]
    assert whole["journal"][0]["data"] == '"receipt o1"'
    assert whole["event"]["type"] == "order-placed"
    assert len(whole["execution"]["emitted"]) == 1
    page = client.get(f"/api/v1/executions/{number}", params={"limit": 1}).json()
    assert len(page["journal"]) == 1
    assert client.get("/api/v1/executions/99999999").status_code == 404
    assert client.get("/api/v1/executions/none").status_code == 400

"""Event types."""

from typing import Any

import msgspec


def test_who_emits_and_who_reacts_and_how_many_there_are(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000))
    rows = {row["type"]: row for row in ui().get("/api/v1/events").json()["types"]}
    assert rows["order-placed"]["consumers"] == ["payment.take_payment"]
    assert rows["order-paid"]["producers"] == ["payment.take_payment"]
    assert rows["order-approved"]["waiters"] == ["payment.take_payment"]
    assert (rows["order-placed"]["count"], rows["order-paid"]["count"], rows["order-approved"]["count"]) == (2, 1, 0)


def test_the_newest_events_are_samples_and_the_first_is_a_template(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", 6))
    client = ui()
    page = client.get("/api/v1/events/order-placed", params={"limit": 1}).json()
    assert '"o2"' in page["template"]
    assert [each["process"]["key"] for each in page["samples"]] == ["o2"]
    following = client.get("/api/v1/events/order-placed", params={"limit": 1, "after": page["next"]}).json()
    assert [each["process"]["key"] for each in following["samples"]] == ["o1"]
    assert following["next"] is None
    assert [each["version"] for each in page["versions"]] == [1]
    assert client.get("/api/v1/events/no-such-type").status_code == 404


def test_a_type_that_nobody_has_emitted_yet_has_a_template_from_its_schema(tiny: Any, ui: Any) -> None:
    tiny.play()
    template = ui().get("/api/v1/events/order-placed").json()["template"]
    assert msgspec.json.decode(template) == {"order_id": "...", "amount": 0}

"""`onstage events`."""

from typing import Any


def test_the_newest_events_are_listed_in_the_order_of_the_log(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 5))
    assert [event["type"] for event in tiny.json("events", "ls", "-n", "3")] == [
        "order-paid",
        "order-placed",
        "order-paid",
    ]
    assert [event["subject"] for event in tiny.json("events", "ls", "--type", "order-placed")] == ["o1", "o2"]
    assert [event["subject"] for event in tiny.json("events", "ls", "--key", "o2")] == ["o2", "o2"]
    assert len(tiny.json("events", "ls", "--after", "1")) == 3
    assert "order-paid" in tiny.run("events", "ls").stdout


def test_an_event_is_shown_as_a_cloud_event_by_number_and_by_id(tiny: Any) -> None:
    tiny.play(("o1", 5))
    placed = tiny.json("events", "show", "1")
    assert (placed["id"], placed["source"], placed["data"]) == ("o1", "//test", {"order_id": "o1", "amount": 5})
    paid = tiny.json("events", "show", "2")
    assert paid["source"] == "//onstage/payment"
    assert tiny.json("events", "show", paid["id"]) == paid
    assert tiny.run("events", "show", "99").exit_code == 1

"""What needs somebody."""

from typing import Any


def test_dead_letters_are_grouped_by_handler_and_exception(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", -1), ("o3", -2))
    (need,) = ui().get("/api/v1/attention").json()["needs"]
    assert (need["kind"], need["handler"], need["count"]) == ("dead letter", "payment.take_payment", 2)
    assert "negative amount" in need["title"]
    assert [each["key"] for each in need["samples"]] == ["o2", "o3"]
    assert need["actions"] == ["retry", "drop"]
    assert len(need["executions"]) == 2


def test_nothing_needs_anybody_where_all_is_well(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    assert ui().get("/api/v1/attention").json()["needs"] == []


def test_a_handler_that_is_gone_is_told(tiny: Any, ui: Any) -> None:
    tiny.play(("o2", 2000))
    tiny.rewrite(("async def take_payment", "async def charge_card"))
    tiny.play(("o1", 5))
    needs = ui().get("/api/v1/attention").json()["needs"]
    assert [(need["kind"], need["handler"], need["count"]) for need in needs] == [
        ("no handler", "payment.take_payment", 1)
    ]
    assert [each["key"] for each in needs[0]["samples"]] == ["o2"]


def test_a_pause_is_told_with_who_and_why(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    assert tiny.run("pause", "payment", "--why", "the bank is down").exit_code == 0
    (need,) = ui().get("/api/v1/attention").json()["needs"]
    assert need["kind"] == "paused"
    assert need["title"].endswith("the bank is down")
    assert need["actions"] == ["resume"]

"""The shapes of event types: what changed when, and which contract that has broken."""

from typing import Any

SEATS = ("    amount: int\n", "    amount: int\n    seats: int\n")
FIELD = SEATS[1]


def needs(ui: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ui().get("/api/v1/attention").json()["needs"]
    return found


def versions(ui: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ui().get("/api/v1/events/order-placed").json()["versions"]
    return found


def test_the_schema_is_told_as_it_was_declared(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    (only,) = versions(ui)
    assert '"amount": {' in only["schema"]
    assert (only["changes"], only["breaks"]) == ([], [])


def test_what_changed_is_told_for_each_shape_and_since_when(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    (before,) = versions(ui)
    tiny.rewrite(("    amount: int\n", "    amount: int\n    remark: str = ''\n"))
    tiny.play(("o2", 5))
    newer, older = versions(ui)
    assert (newer["changes"], newer["breaks"]) == (["remark is new"], [])
    assert '"remark"' in newer["schema"]
    assert older["since_ms"] == before["since_ms"] <= newer["since_ms"]


def test_another_change_of_the_code_does_not_make_a_shape_younger(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    (before,) = versions(ui)
    tiny.rewrite(("async def thank", "async def be_polite"))
    tiny.play(("o2", 5))
    assert versions(ui) == [before]


def test_a_contract_that_was_broken_needs_somebody(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", 6))
    tiny.rewrite(SEATS)
    tiny.play()
    (need,) = needs(ui)
    assert (need["kind"], need["type"], need["count"]) == ("contract", "order-placed", 2)
    assert "seats is new and needed" in need["title"]
    assert need["handler"] == "payment.take_payment"
    assert [each["key"] for each in need["samples"]] == ["o2", "o1"]
    assert versions(ui)[0]["breaks"] == ["seats is new and needed"]


def test_a_contract_is_kept_if_the_version_was_raised(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    tiny.rewrite(
        SEATS,
        (
            '@event(key="order_id")\n@dataclass(frozen=True)\nclass OrderPlaced',
            '@event(key="order_id", version=2)\n@dataclass(frozen=True)\nclass OrderPlaced',
        ),
    )
    tiny.play()
    assert needs(ui) == []
    assert [(each["version"], each["breaks"]) for each in versions(ui)] == [(2, ["seats is new and needed"]), (1, [])]


def test_a_contract_is_whole_again_once_the_change_was_taken_back(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    tiny.rewrite(SEATS)
    tiny.play()
    assert [need["kind"] for need in needs(ui)] == ["contract"]
    tiny.rewrite((SEATS[1], SEATS[0]))
    tiny.play()
    assert needs(ui) == []


def test_a_break_that_no_stored_event_feels_is_nobodys_trouble(tiny: Any, ui: Any) -> None:
    tiny.play()
    tiny.rewrite(SEATS)
    tiny.play()
    assert needs(ui) == []

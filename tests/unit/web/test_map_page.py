"""The live map."""

from typing import Any


def test_edges_say_what_went_over_them_and_what_was_never_seen(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000), ("o3", -1))
    page = ui().get("/api/v1/map").json()
    edges = {(each["source"], each["target"], each["kind"]): each for each in page["edges"]}
    started = edges["order-placed", "payment.take_payment", "starts"]
    assert (started["count"], started["open"], started["failed"]) == (3, 2, 1)
    assert edges["payment.take_payment", "order-paid", "emits"]["count"] == 1
    assert edges["payment.take_payment", "order-paid", "emits"]["rate_s"] > 0
    assert edges["order-approved", "payment.take_payment", "waits"]["mark"] == "never seen"
    assert page["complete"] is True
    assert list(page["services"]) == ["mail", "payment"]
    around = ui().get("/api/v1/map", params={"service": "mail"}).json()
    assert around["topology"] == page["topology"]
    assert around["events"] == ["order-paid"]

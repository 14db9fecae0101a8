"""`onstage services`."""

from typing import Any


def test_handlers_are_listed_with_what_is_open_and_what_is_paused(tiny: Any) -> None:
    tiny.play(("o1", 2000), ("o2", 5))
    tiny.run("pause", "mail", "--why", "quiet hours")
    rows = {row["handler"]: row for row in tiny.json("services")}
    assert set(rows) == {"payment.take_payment", "mail.thank"}
    assert rows["payment.take_payment"]["open"] == 1
    assert rows["payment.take_payment"]["paused"] is None
    paused = rows["mail.thank"]["paused"]
    assert paused["why"] == "quiet hours"
    assert paused["by"]
    shown = tiny.run("services")
    assert "quiet hours" in shown.stdout
    assert "2 handlers shown, 1 paused" in shown.stderr

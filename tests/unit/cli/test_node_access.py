"""What an operator does without a node: the store is held for a moment, and the command says so."""

from typing import Any

from onstage.cli.node_access import NodeAccess, acting


def test_a_delayed_event_is_emitted_shown_and_cancelled_on_the_command_line(tiny: Any) -> None:
    told = tiny.run("emit", "order-placed", '{"order_id": "o9", "amount": 5}', "--after", "2h")
    assert told.exit_code == 0, told.output
    (timer,) = tiny.json("timers")
    number = timer["execution"]
    assert timer["what"] == f"order-placed comes (`onstage timers cancel {number}`)"
    assert tiny.json("ps")[0]["verdict"] == "waiting"
    assert "order-placed comes at" in tiny.run("show", "o9").stdout
    cancelled = tiny.run("timers", "cancel", str(number))
    assert cancelled.stdout == "onstage.later will not emit it\n"
    assert "no node runs on this store" in cancelled.stderr
    assert tiny.json("timers") == []
    assert tiny.run("timers", "cancel", str(number)).exit_code == 2
    assert NodeAccess.__name__ in str(acting.__wrapped__.__annotations__["return"])  # type: ignore[attr-defined]


def test_a_time_that_is_none_is_refused_before_anything_is_sent(tiny: Any) -> None:
    event = ("emit", "order-placed", '{"order_id": "o9", "amount": 5}')
    for options in (
        ("--after", "soon"),
        ("--at", "2026-01-01T09:00"),
        ("--at", "noon"),
        ("--after", "1h", "--at", "x"),
    ):
        assert tiny.run(*event, *options).exit_code == 2
    assert not tiny.store.exists()

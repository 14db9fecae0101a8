"""`onstage pause`."""

import asyncio
from typing import Any


def test_a_pause_is_kept_while_no_node_runs_and_shown_with_since_when_and_by_whom(tiny: Any) -> None:
    tiny.play(("o1", 5))
    done = tiny.run("pause", "payment.take_payment", "--why", "the bank is down")
    assert done.exit_code == 0, done.output
    assert "payment.take_payment is paused" in done.stdout
    assert "no node runs" in done.stderr

    async def wait_for_it() -> Any:
        from onstage.events.envelope import Envelope

        async with tiny.app().run(f"sqlite:///{tiny.store}") as stage:
            data = b'{"order_id": "o2", "amount": 5}'
            process = await stage.emit_envelope(Envelope(id="2", source="//test", type="order-placed", data=data))
            return await process.verdict(timeout=0.05)

    verdict = asyncio.run(wait_for_it())
    assert verdict.status == "waiting"
    assert verdict.reasons[0].startswith("payment.take_payment is paused since ")
    assert verdict.reasons[0].endswith(": the bank is down")
    row = tiny.json("ps")[0]
    assert (row["verdict"], row["key"]) == ("waiting", "o2")
    assert "is paused since" in row["now"]
    assert "paused since" in tiny.run("show", "o2").stdout


def test_a_running_node_is_told(tiny: Any) -> None:
    async def play() -> tuple[Any, Any]:
        async with tiny.app().run(f"sqlite:///{tiny.store}"):
            first = await asyncio.to_thread(tiny.json, "pause", "mail")
            again = await asyncio.to_thread(tiny.json, "pause", "mail")
            return first, again

    first, again = asyncio.run(play())
    assert first["told"] == "mail is paused"
    assert again["told"].startswith("mail is paused already, since 20")


def test_an_unknown_name_is_refused(tiny: Any) -> None:
    tiny.play()
    done = tiny.run("pause", "payment.nobody")
    assert done.exit_code != 0
    assert "there is no handler or service payment.nobody here" in done.stderr
    assert "to do" in done.stderr

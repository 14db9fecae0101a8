"""`onstage replay`: stored journals against the present code, without effects."""

from typing import Any

import pytest


def test_what_has_not_changed_fits(tiny: Any) -> None:
    tiny.play(("o1", 1000), ("o2", 5), ("o3", -1))
    found = tiny.json("replay")
    assert (found["replayed"], found["without_journal"], found["misfits"]) == (2, 1, [])
    assert tiny.json("replay", "--closed", "10")["replayed"] == 3
    assert tiny.json("replay", "--closed", "10", "--handler", "mail.thank")["replayed"] == 0
    assert tiny.json("replay", "--since", "1h")["replayed"] == 2


def test_a_call_that_is_gone_is_shown_with_its_place(tiny: Any) -> None:
    tiny.play(("o1", 1000), ("o2", 5))
    tiny.rewrite(('        await wait(OrderApproved, timeout="24h")', "        await charge(e.order_id)"))
    (misfit,) = tiny.json("replay", code=1)["misfits"]
    assert (misfit["what"], misfit["handler"], misfit["key"], misfit["was"]) == (
        "diverged",
        "payment.take_payment",
        "o1",
        "waiting",
    )
    assert "asks for charge#0, which is not in the journal" in misfit["diff"]
    line = next(n for n, text in enumerate(tiny.source().splitlines(), 1) if text == "        await charge(e.order_id)")
    assert misfit["where"] == f"{tiny.folder / tiny.module}.py:{line}"
    result = tiny.run("replay")
    assert result.exit_code == 1
    assert "1 execution replayed, 0 fit the code, 1 do not" in result.output
    assert tiny.json("ps", "--open")[0]["verdict"] == "waiting"  # nothing was touched


def test_a_call_behind_the_frontier_is_free_to_change(tiny: Any) -> None:
    tiny.play(("o1", 1000))
    tiny.rewrite(("    await charge(e.order_id)\n    return", "    await charge(e.order_id + '!')\n    return"))
    assert tiny.json("replay")["misfits"] == []


def test_changed_arguments_and_an_early_return_are_found_in_what_has_ended(tiny: Any) -> None:
    tiny.play(("o1", 5))
    tiny.rewrite(("    await charge(e.order_id)\n    return", "    await charge(e.order_id + '!')\n    return"))
    assert tiny.json("replay")["misfits"] == []
    (misfit,) = tiny.json("replay", "--closed", "10", code=1)["misfits"]
    assert "step with arguments" in misfit["diff"]
    tiny.rewrite(("    await charge(e.order_id + '!')\n", ""))
    (misfit,) = tiny.json("replay", "--closed", "10", code=1)["misfits"]
    assert misfit["diff"] == "the handler returned, the journal also has charge#0"


@pytest.mark.parametrize(
    ("change", "what", "why"),
    [
        (("    amount: int\n", "    amount: int\n    sku: str\n"), "undecodable", "missing required field `sku`"),
        (("async def take_payment", "async def other"), "no handler", "the app has no such handler"),
    ],
)
def test_an_event_that_cannot_be_read_and_a_handler_that_is_gone(
    tiny: Any, change: tuple[str, str], what: str, why: str
) -> None:
    tiny.play(("o1", 1000))
    tiny.rewrite(change)
    (misfit,) = tiny.json("replay", code=1)["misfits"]
    assert misfit["what"] == what
    assert why in misfit["diff"]


def test_no_step_runs_and_the_network_is_refused(tiny: Any) -> None:
    tiny.play(("o1", 1000))
    reach = "        import asyncio\n        await asyncio.open_connection('127.0.0.1', 9)\n"
    tiny.rewrite(("        await wait(OrderApproved", reach + "        await wait(OrderApproved"))
    (misfit,) = tiny.json("replay", code=1)["misfits"]
    assert "was called in a simulated world" in misfit["diff"]

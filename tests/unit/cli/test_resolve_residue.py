"""`onstage resolve`."""

from typing import Any

import msgspec

REFUND = "async def refund(result: str, order_id: str) -> None: ...\n\n\n@step(undo=refund)\nasync def charge"
PLAIN = "@step\nasync def charge"


def played_until(tiny: Any, status: str) -> dict[str, Any]:
    """The verdict on o1 once it is this, with nodes running meanwhile."""
    for number in range(100):
        tiny.play((f"{status}-{number}", 5))
        verdict: dict[str, Any] = msgspec.json.decode(tiny.run("show", "o1", "-o", "json").stdout)["verdict"]
        if verdict["status"] == status:
            return verdict
    raise AssertionError(verdict)


def test_what_was_mended_by_hand_is_told_by_the_verdict(tiny: Any) -> None:
    tiny.rewrite((PLAIN, REFUND))
    tiny.play(("o1", 5))
    assert "has no residue" in tiny.run("resolve", "o1").stderr
    tiny.run("undo", "o1", "--yes")
    tiny.rewrite((REFUND, PLAIN))
    assert "the undo of" in played_until(tiny, "stuck")["reasons"][1]
    early = tiny.run("resolve", "o1")
    assert early.exit_code == 2
    assert "is still being undone" in early.stderr
    assert "onstage skip" in early.stderr
    tiny.run("dead", "drop", "--all", "--yes")
    played_until(tiny, "compensated with residue")
    told = tiny.json("resolve", "o1", "--note", "paid in cash")
    assert told["told"].endswith("is resolved")
    assert tiny.run("resolve", "o1").stdout.endswith("is resolved already\n")
    verdict = tiny.json("show", "o1")["verdict"]
    assert verdict["status"] == "compensated"
    assert "paid in cash" in verdict["reasons"][1]
    assert "resolve" in [each["action"] for each in tiny.json("audit")]
    assert "paid in cash" in tiny.run("show", "o1").stdout

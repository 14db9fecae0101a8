"""The causal tree: its shape, and how it is drawn."""

from typing import Any

from click import unstyle

from onstage.cli.draw_tree import lines
from onstage.core.journal import (
    Abandoned,
    Attempted,
    Begun,
    Held,
    Patched,
    Raced,
    Rejected,
    ScopeRejected,
    Slept,
    Stepped,
    Undone,
    WaitEnded,
)
from onstage.ports.payload_codec import _MARK
from onstage.reading.causal_tree import EventNode, ExecutionNode, told, unreadable


def execution(*emitted: Any, status: Any = "done", **fields: Any) -> Any:
    known = {"waits": (), "error": None, "journal": [], "took_ms": 3, "due_ms": None, "gating": True, "attempts": 0}
    given = known | fields
    return ExecutionNode(
        id=7, handler="a.b", status=status, started=None, ended=None, due=None, emitted=list(emitted), **given
    )


def event(*executions: Any, from_outside: Any = False) -> Any:
    return EventNode(1, "x", None, None, 0, from_outside, {}, list(executions))


def test_branches_are_drawn_below_their_cause() -> None:
    text = list(lines([event(execution(event()), execution(), from_outside=True)], 0))
    plain = [unstyle(line) for line in text]
    assert [line.partition("  ")[0] if line[0] != "│" else line[:7] for line in plain] == [
        "x #1",
        "├─ a.b",
        "│  └─ x",
        "└─ a.b",
    ]


def test_a_chain_of_many_thousand_hops_needs_no_recursion() -> None:
    node = event()
    for _ in range(1500):
        node = event(execution(node))
    assert sum(1 for _ in lines([node], 0)) == 3001


def test_a_dead_letter_says_what_to_do() -> None:
    text = "\n".join(lines([event(execution(status="dead letter", error="boom\nmore"))], 0))
    assert "boom" in text
    assert "more" not in text
    assert "onstage dead retry 7" in text


def test_the_journal_tells_the_newest_state_of_each_call() -> None:
    entries = (
        Begun("charge#0", 0, "refund", b""),
        Attempted("charge#0", 0, 2, 0, "busy", 0),
        Stepped("charge#0", 0, b"", 0, 3, 0),
        WaitEnded("wait#0", 9, "order-approved", b""),
        WaitEnded("wait#1", 0, "", b""),
        Slept("sleep#0"),
        Rejected("reject#0", "no stock"),
        Undone("undo/charge#0"),
    )
    assert told(entries) == [
        "step charge, 3 attempts",
        "took order-approved #9",
        "waited in vain, it timed out",
        "slept",
        "rejected: no stock",
        "undone: charge",
    ]


def test_the_journal_tells_what_became_of_branches() -> None:
    entries = (
        Held("charge#0", 0, None, None, "busy", 3),
        Raced("race#0", 1),
        Abandoned("race#0/0/pack#0", 0, b"", 0, 1, 0),
        ScopeRejected("scope trip#0", "full"),
        Patched("patch check", new=False),
    )
    assert told(entries) == [
        "step charge failed after 3, other branches go on: busy",
        "race was won by branch 1",
        "step race#0/0/pack of a branch that had lost its race, abandoned",
        "scope trip was rejected: full",
        "patch check: on the old side",
    ]


def test_a_sealed_payload_is_named_by_its_key_and_other_bytes_are_shown_as_they_are() -> None:
    key_id = b"2026-11"
    sealed = _MARK + bytes([len(key_id)]) + key_id + b"whatever"
    assert unreadable(sealed) == "sealed with key 2026-11"
    assert unreadable(b"\x00\xff") == "00ff"

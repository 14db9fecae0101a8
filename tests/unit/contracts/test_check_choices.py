"""Choices: what each rule finds, and beside it the closest declarations in which there is nothing to find."""

import pytest
from hypothesis import given, settings
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.check import check
from onstage.contracts.check_choices import decided_twice, endless_waits, lost_alternatives
from onstage.contracts.check_codes import Finding
from onstage.contracts.check_reach import ways_from_outside
from onstage.contracts.event_graph import EventGraph, node_of
from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest

Part = HandlerManifest | ProcessManifest
TAKE = says("bank.take", "placed", "paid | declined")
SHIP = says("post.ship", "paid", "shipped")
TELL = says("shop.tell", "declined")


def lost(*parts: Part) -> list[Finding]:
    graph = EventGraph(app(*parts))
    return list(lost_alternatives(graph, ways_from_outside(graph)))


def waits(*parts: Part) -> list[Finding]:
    return list(endless_waits(EventGraph(app(*parts))))


def twice(*parts: Part) -> list[Finding]:
    return list(decided_twice(EventGraph(app(*parts))))


# OS113.


def test_an_alternative_that_leads_to_no_outcome_is_found_with_its_way() -> None:
    (finding,) = lost(TAKE, SHIP, TELL, process("placed", "shipped"))
    assert (finding.code, finding.severity, finding.handler, finding.event) == (
        "OS113",
        "warning",
        "bank.take",
        "declined",
    )
    assert finding.path == ("placed", "bank.take()", "declined")


@pytest.mark.parametrize(
    "parts",
    [
        (TAKE, SHIP, TELL, process("placed", "shipped", failed=("declined",))),
        (TAKE, SHIP, says("shop.tell", "declined", "cancelled"), process("placed", "shipped cancelled")),
        (TAKE, SHIP, says("shop.tell", "asked", "told", waits=("declined",)), process("placed asked", "shipped told")),
        (TAKE, SHIP, process("placed", "shipped")),  # nobody handles it at all: that is OS101
        (TAKE, SHIP, TELL),  # no outcomes are declared
        (TAKE, says("post.ship", "paid"), TELL, process("placed", "other")),  # none leads to one: that is OS105
        (says("bank.take", "placed", "paid | -"), SHIP, process("placed", "shipped")),
        (
            says("bank.take", "placed", "paid | declined", emits=("paid", "declined", "shipped")),
            SHIP,
            TELL,
            process("placed", "shipped"),
        ),
        (TAKE, SHIP, says("shop.tell", "declined", inferred=False), process("placed", "shipped")),
    ],
)
def test_where_each_alternative_may_lead_to_an_outcome_nothing_is_said(parts: tuple[Part, ...]) -> None:
    assert lost(*parts) == []


@settings(max_examples=200)
@given(manifests())
def test_what_is_said_to_be_lost_is_and_its_sibling_is_not(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)

    def may_end(name: str) -> bool:
        """Forwards, event by event, mail included: the other way about than the rule."""
        seen, queue = {name}, [name]
        for at in queue:
            if at in graph.outcomes:
                return True
            for handler in [*graph.heard[at], *graph.waited[at]]:
                said = {*handler.emits, *handler.asks, *(each for way in handler.alternatives for each in way)}
                queue.extend(sorted(said - seen))
                seen |= said
        return False

    for finding in lost_alternatives(graph, ways_from_outside(graph)):
        handler = next(each for each in graph.handlers if each.name == finding.handler)
        assert finding.event is not None
        assert not may_end(finding.event)
        assert any(may_end(name) for way in handler.alternatives for name in way)


# OS203.

PACK = says("post.pack", "placed", "packed", waits=("paid",))


def test_a_wait_for_one_side_of_a_choice_is_found_with_the_way_to_it() -> None:
    (finding,) = waits(TAKE, PACK, process("placed", "packed"))
    assert (finding.code, finding.severity, finding.handler, finding.event) == ("OS203", "warning", "post.pack", "paid")
    assert finding.path == ("placed", "post.pack()", "paid")
    assert finding.what == "post.pack waits for paid for ever, and process p stays open, if bank.take chooses declined"


def test_a_choice_of_nothing_leaves_waits_open_as_well() -> None:
    (finding,) = waits(says("bank.take", "placed", "paid | -"), PACK, process("placed", "packed"))
    assert "if bank.take chooses nothing" in finding.what


@pytest.mark.parametrize(
    "parts",
    [
        (TAKE, says("post.pack", "placed", "packed", waits=("paid", "declined"))),
        (TAKE, says("post.pack", "placed", "packed", waits=("paid",), timer=True)),
        (TAKE, says("post.pack", "placed", "packed", waits=("paid",), gating=False)),
        (TAKE, PACK, says("bank.later", "declined", "paid")),  # the other side leads there in the end
        (TAKE, PACK, says("desk.pay", "placed", "paid")),  # somebody else says it too
        (says("bank.take", "placed", "paid + accepted | declined"), says("post.pack", "accepted", waits=("paid",))),
        (says("bank.take", "placed", "paid", rejects=True), PACK),
        (says("bank.take", "placed", "paid | declined", inferred=False), PACK),
        (says("bank.take", "placed", "paid"), PACK),
    ],
)
def test_a_wait_that_ends_whatever_is_chosen_is_none_to_speak_of(parts: tuple[Part, ...]) -> None:
    assert waits(*parts, process("placed", "packed")) == []


def test_what_may_come_from_outside_is_no_endless_wait() -> None:
    assert waits(TAKE, PACK, process("placed", "packed", external=("paid",))) == []
    assert waits(TAKE, PACK, process("other", "packed")) == [], "it never comes to that in a process"


@settings(max_examples=200)
@given(manifests())
def test_whoever_is_said_to_wait_for_ever_is_begun_and_hears_nothing(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    for finding in endless_waits(graph):
        handler = next(each for each in graph.handlers if each.name == finding.handler)
        assert not handler.timer
        assert node_of(handler) == finding.path[-2]
        assert finding.event in handler.waits
        assert not any(graph.is_given(name) for name in handler.waits)


# OS204.

STOCK = says("stock.take", "placed", "reserved | sold-out")


def test_two_services_that_decide_apart_are_found() -> None:
    (finding,) = twice(TAKE, STOCK, process("placed", "paid", failed=("sold-out",)))
    assert (finding.code, finding.severity, finding.event) == ("OS204", "warning", "placed")
    assert finding.path == ("placed", "bank.take()", "paid")
    assert "bank.take may emit paid, and stock.take sold-out" in finding.what


@pytest.mark.parametrize(
    "parts",
    [
        (TAKE, says("stock.take", "paid", "reserved | sold-out")),  # one after the other
        (TAKE, says("bank.check", "placed", "fine | sold-out")),  # in one service
        (TAKE, says("stock.take", "placed", "reserved | sold-out", waits=("paid",))),
        (TAKE, says("stock.take", "placed", "reserved | sold-out", asks=("q",))),
        (TAKE, says("stock.take", "placed", "reserved | sold-out", gating=False)),
        (says("bank.take", "placed", "ready | declined"), STOCK),
    ],
)
def test_where_one_decides_or_both_may_hear_of_the_other_nothing_is_said(parts: tuple[Part, ...]) -> None:
    assert twice(*parts, process("placed", "paid", failed=("sold-out",))) == []


def test_many_services_give_one_finding_for_an_event() -> None:
    parts = [says(f"s{n}.take", "placed", "paid | sold-out") for n in range(50)]
    assert len(twice(*parts, process("placed", "paid", failed=("sold-out",)))) == 1


def test_the_rules_are_part_of_a_check() -> None:
    manifest = app(TAKE, STOCK, PACK, TELL, says("shop.sad", "sold-out"), process("placed", "packed"))
    assert {"OS113", "OS203"} <= {each.code for each in check(manifest).findings}
    manifest = app(TAKE, STOCK, process("placed", "paid", failed=("sold-out", "declined")))
    assert "OS204" in {each.code for each in check(manifest).findings}

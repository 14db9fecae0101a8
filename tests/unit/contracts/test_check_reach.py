"""Rules about reach: each with what it finds and what it leaves in peace."""

from hypothesis import given
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.check_codes import Finding
from onstage.contracts.check_reach import (
    dead_handlers,
    unheard_events,
    unproduced_triggers,
    unproduced_waits,
    unreachable_outcomes,
    ways_from_outside,
)
from onstage.contracts.event_graph import EventGraph, node_of
from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest

Part = HandlerManifest | ProcessManifest
PAY = says("payment.take", "placed", "paid | declined")
MAIL = says("mail.thank", "paid")
ORDER = process("placed", "paid", failed=("declined",))


def graph_of(*parts: Part) -> EventGraph:
    return EventGraph(app(*parts))


def unheard(*parts: Part) -> list[Finding]:
    graph = graph_of(*parts)
    return list(unheard_events(graph, ways_from_outside(graph)))


def dead(*parts: Part) -> list[Finding]:
    graph = graph_of(*parts)
    return list(dead_handlers(graph, ways_from_outside(graph)))


def waits(*parts: Part) -> list[Finding]:
    graph = graph_of(*parts)
    return list(unproduced_waits(graph, ways_from_outside(graph)))


def triggers(*parts: Part) -> list[Finding]:
    return list(unproduced_triggers(graph_of(*parts)))


def outcomes(*parts: Part) -> list[Finding]:
    return list(unreachable_outcomes(graph_of(*parts)))


def test_an_event_that_nobody_handles_is_found_with_the_way_to_it() -> None:
    (finding,) = unheard(PAY, MAIL, process("placed", "paid"))
    assert (finding.code, finding.severity, finding.event) == ("OS101", "warning", "declined")
    assert (finding.handler, finding.service) == ("payment.take", "payment")
    assert finding.path == ("placed", "payment.take()", "declined")


def test_outcomes_milestones_waits_and_requests_are_handled() -> None:
    assert unheard(PAY, ORDER) == []
    assert unheard(PAY, process("placed", "paid", within_s={"declined": 5.0})) == []
    assert unheard(PAY, MAIL, says("shop.wait", "placed", waits=("declined",))) == []
    assert unheard(PAY, MAIL, says("shop.help", answers="declined")) == []


def test_events_of_onstage_itself_are_nobodys_to_handle() -> None:
    assert unheard(says("a.b", "placed", "onstage.answer/price")) == []


def test_an_event_that_is_only_listened_to_is_a_note() -> None:
    (finding,) = unheard(PAY, MAIL, says("audit.listen", "declined", gating=False))
    assert (finding.severity, finding.event) == ("info", "declined")


def test_a_handler_of_a_pattern_that_matches_nothing_never_runs() -> None:
    (finding,) = dead(PAY, says("audit.listen", "stock.>", pattern=True))
    assert (finding.code, finding.handler) == ("OS102", "audit.listen")
    assert "no known event matches stock.>" in finding.what
    assert dead(PAY, says("audit.listen", "*", pattern=True)) == []


def test_handlers_that_only_wake_each_other_never_run() -> None:
    island = (says("a.there", "forth", "back"), says("b.here", "back", "forth"))
    assert [each.handler for each in dead(*island)] == ["a.there", "b.here"]
    assert dead(*island, says("c.begin", "started", "forth")) == []
    assert dead(*island, process("forth")) == []
    assert dead(*island, process("started", external=("back",))) == []


def test_a_trigger_that_nobody_produces_is_found_unless_it_is_said_to_come_from_outside() -> None:
    (finding,) = triggers(MAIL, process("placed", "paid"))
    assert (finding.code, finding.severity, finding.event) == ("OS103", "warning", "paid")
    assert triggers(MAIL, process("placed", external=("paid",))) == []
    assert triggers(MAIL, PAY, ORDER) == []
    assert triggers(says("a.do", "onstage.start/a.do")) == []
    assert triggers(says("audit.listen", "shop.>", pattern=True)) == []


def test_without_a_process_nobody_can_say_what_comes_from_outside() -> None:
    (finding,) = triggers(PAY, MAIL)
    assert (finding.severity, finding.event) == ("info", "placed")


def test_a_request_is_asked_by_whoever_likes() -> None:
    assert triggers(says("prices.tell", "price", answers="price")) == []


def test_a_wait_that_nobody_ends_is_found_with_the_way_to_it() -> None:
    review = says("shop.review", "placed", "paid", waits=("approved",))
    (finding,) = waits(review, ORDER)
    assert (finding.code, finding.severity, finding.event) == ("OS104", "warning", "approved")
    assert finding.path == ("placed", "shop.review()", "approved")
    assert "timeout" not in finding.what
    assert waits(review, process("placed", "paid", external=("approved",))) == []
    assert waits(review, says("boss.look", "placed", "approved")) == []
    (limited,) = waits(says("shop.review", "placed", waits=("approved",), timer=True))
    assert limited.severity == "info"
    assert "timeout" in limited.what


def test_an_outcome_out_of_reach_is_an_error() -> None:
    (finding,) = outcomes(PAY, process("placed", "paid", failed=("lost",)))
    assert (finding.code, finding.severity, finding.event) == ("OS105", "error", "lost")
    assert "nobody emits it" in finding.what
    (finding,) = outcomes(PAY, process("ordered", "paid"))
    assert (finding.handler, finding.event) == ("payment.take", "paid")
    assert "no way leads there" in finding.what


def test_outcomes_in_reach_from_outside_or_made_when_late_are_no_error() -> None:
    assert outcomes(PAY, ORDER) == []
    assert outcomes(PAY, process("ordered", "paid", external=("placed",))) == []
    assert outcomes(PAY, process("placed", "paid", failed=("lost",), late=True)) == []
    assert outcomes(PAY, process("placed", "lost", late=True)) != []


@given(manifests())
def test_outcomes_are_missed_exactly_if_no_way_leads_there(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    expected = set()
    for each in manifest.processes:
        reached, size = {*each.starts, *each.external}, -1
        while len(reached) > size:
            size = len(reached)
            heard = [h for h in manifest.handlers if reached & {*h.triggers, *([h.answers] if h.answers else [])}]
            reached |= {name for h in heard for name in (*h.emits, *h.asks)}
        expected |= {(each.name, name) for name in each.done if name not in reached}
    assert {(each.what.split()[1], each.event) for each in unreachable_outcomes(graph)} == expected


@given(manifests())
def test_what_nobody_makes_or_hears_is_found_once_for_each_event(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    made = {name for h in manifest.handlers for name in (*h.emits, *h.asks)}
    given_ = {name for each in manifest.processes for name in (*each.starts, *each.external)}
    answered = {h.answers for h in manifest.handlers}
    triggered = {name for h in manifest.handlers for name in h.triggers}
    assert [each.event for each in unproduced_triggers(graph)] == sorted(triggered - made - given_ - answered)
    emitted = {name for h in manifest.handlers for name in h.emits}
    gated = {name for h in manifest.handlers if h.gating for name in (*h.triggers, h.answers)}
    used = gated | {name for h in manifest.handlers for name in (*h.waits, *h.asks)}
    used |= {name for each in manifest.processes for name in each.done}
    assert {each.event for each in unheard_events(graph, ways_from_outside(graph))} == emitted - used
    ways = ways_from_outside(graph)
    assert {each.handler for each in dead_handlers(graph, ways)} == {
        each.name for each in manifest.handlers if node_of(each) not in ways
    }

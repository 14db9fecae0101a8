"""Rules about going round and about lanes."""

from itertools import permutations

from hypothesis import given
from tests.unit.contracts.declarations import app, manifests, says

from onstage.contracts.check_codes import Finding
from onstage.contracts.check_cycles import circle, other_keys, timeless_cycles
from onstage.contracts.event_graph import EventGraph, strong_components
from onstage.contracts.manifest import AppManifest, HandlerManifest, TypeManifest

TRY = says("s.go", "tried", "failed | done")
AGAIN = says("t.again", "failed", "tried | -")


def cycles(*parts: HandlerManifest) -> list[Finding]:
    return list(timeless_cycles(EventGraph(app(*parts)), frozenset()))


def has_quick_circle(manifest: AppManifest) -> bool:
    """Whether some handlers without a timer, in some order, each start the next and the last the first."""
    quick = [each for each in manifest.handlers if not each.timer]

    def starts(one: HandlerManifest, other: HandlerManifest) -> bool:
        return bool({*one.emits, *one.asks} & {*other.triggers, *([other.answers] if other.answers else [])})

    rounds = (order for size in range(1, len(quick) + 1) for order in permutations(quick, size))
    return any(all(starts(a, b) for a, b in zip(order, (*order[1:], order[0]), strict=True)) for order in rounds)


def test_events_that_cause_each_other_again_are_found_once() -> None:
    (finding,) = cycles(TRY, AGAIN)
    assert (finding.code, finding.severity, finding.service) == ("OS106", "warning", "t")
    assert finding.path == ("failed", "t.again()", "tried", "s.go()", "failed")


def test_a_timer_on_the_way_is_enough_and_one_beside_it_is_not() -> None:
    assert cycles(TRY, says("t.again", "failed", "tried | -", timer=True)) == []
    assert cycles(TRY, AGAIN, says("u.slow", "failed", "tried", timer=True)) != []


def test_a_chain_is_no_circle() -> None:
    assert cycles(TRY, says("t.tell", "failed", "told")) == []


def test_what_is_known_to_be_endless_is_not_told_twice() -> None:
    graph = EventGraph(app(TRY, AGAIN))
    assert list(timeless_cycles(graph, frozenset({"tried"}))) == []


@given(manifests(most=4))
def test_a_circle_is_found_exactly_if_there_is_one(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    found = list(timeless_cycles(graph, frozenset()))
    assert bool(found) == has_quick_circle(manifest)
    for finding in found:
        assert finding.path[0] == finding.path[-1]
        assert all(b in graph.after(a) for a, b in zip(finding.path, finding.path[1:], strict=False))
        assert not any(graph.nodes[node].timer for node in finding.path[1::2])


def test_a_circle_is_a_shortest_one() -> None:
    graph = EventGraph(app(says("a.x", "e", "f | e"), says("b.y", "f", "e")))
    (component,) = (each for each in strong_components(graph.types, graph.after) if len(each) > 1)
    assert circle(graph, component) == ("e", "a.x()", "e")


def test_a_key_that_is_not_the_events_is_noted() -> None:
    def keyed(key: str | None) -> list[Finding]:
        types = (TypeManifest(name="placed", version=1, key="order_id", schema=0),)
        manifest = AppManifest(handlers=(says("stock.reserve", "placed", key=key),), types=types)
        return list(other_keys(EventGraph(manifest)))

    (finding,) = keyed("sku")
    assert (finding.code, finding.severity, finding.event) == ("OS112", "info", "placed")
    assert "by sku, while placed has order_id" in finding.what
    assert keyed("order_id") == []
    assert keyed(None) == []

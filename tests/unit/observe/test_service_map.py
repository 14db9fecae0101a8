"""The map: what is declared, what was seen, and the difference."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.manifest import AppManifest
from onstage.events.receipt import Status
from onstage.observe.service_map import (
    OUTSIDE,
    Counted,
    Edge,
    ServiceMap,
    Spread,
    Tally,
    declared_map,
    narrowed,
    observed_map,
)

SHOP = app(
    says("shop.review", "placed", "accepted", waits=("approved",), asks=("price",)),
    says("prices.tell", answers="price"),
    says("stock.reserve", "accepted", "reserved"),
    says("audit.listen", "*", pattern=True, gating=False),
    process("placed", "reserved", external=("approved",)),
)


def edges_of(drawn: ServiceMap) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.kind, edge.target) for edge in drawn.edges}


def test_the_declared_map_has_every_kind_of_edge() -> None:
    drawn = declared_map(SHOP)
    assert drawn.services == {
        "audit": ("audit.listen",),
        "prices": ("prices.tell",),
        "shop": ("shop.review",),
        "stock": ("stock.reserve",),
    }
    assert drawn.events == ("accepted", "approved", "placed", "price", "reserved")
    told = {(name, "tells", "audit.listen") for name in drawn.events}
    assert edges_of(drawn) == told | {
        (OUTSIDE, "emits", "placed"),
        (OUTSIDE, "emits", "approved"),
        ("placed", "starts", "shop.review"),
        ("approved", "waits", "shop.review"),
        ("shop.review", "asks", "price"),
        ("price", "starts", "prices.tell"),
        ("shop.review", "emits", "accepted"),
        ("accepted", "starts", "stock.reserve"),
        ("stock.reserve", "emits", "reserved"),
    }
    assert {drawn.mark(edge) for edge in drawn.edges} == {None}


def test_what_was_seen_is_counted_on_its_edge() -> None:
    tally = Tally()
    for took in (10, 20, 30):
        tally.event("placed", None)
        tally.execution("placed", "shop.review", Status.DONE, took)
        tally.execution("placed", "audit.listen", Status.DONE, 1)
    tally.execution("placed", "shop.review", Status.PARKED, None)
    tally.execution("placed", "shop.review", Status.REJECTED, 40)
    tally.mail("approved", "shop.review")
    tally.event("price", "shop.review")
    seen = {(edge.source, edge.target): edge.seen for edge in observed_map(declared_map(SHOP), tally).edges}
    assert seen[OUTSIDE, "placed"] == Counted(count=3)
    assert seen["placed", "shop.review"] == Counted(count=5, failed=1, rejected=1, p50_ms=20, p95_ms=40)
    assert seen["placed", "audit.listen"] == Counted(count=3, p50_ms=1, p95_ms=1)
    assert seen["approved", "shop.review"] == Counted(count=1)
    assert seen["shop.review", "price"] == Counted(count=1), "a request is an event in the log"
    assert seen["stock.reserve", "reserved"] is None


def test_differences_are_marked() -> None:
    tally = Tally()
    tally.event("accepted", "old.handler")
    tally.event("accepted", "shop.review")
    drawn = observed_map(declared_map(SHOP), tally)
    marks = {(edge.source, edge.target): drawn.mark(edge) for edge in drawn.edges}
    assert marks["old.handler", "accepted"] == "not declared"
    assert marks["shop.review", "accepted"] is None
    assert marks["accepted", "stock.reserve"] == "never seen"
    assert drawn.services["old"] == ("old.handler",)


def test_around_a_service_are_its_events_with_all_their_edges() -> None:
    drawn = narrowed(declared_map(SHOP), services=["stock"])
    assert drawn.events == ("accepted", "reserved")
    assert ("shop.review", "emits", "accepted") in edges_of(drawn)
    assert list(drawn.services) == ["audit", "shop", "stock"]


def test_around_a_type_are_its_edges_only() -> None:
    drawn = narrowed(declared_map(SHOP), types=["price"])
    assert edges_of(drawn) == {
        ("price", "starts", "prices.tell"),
        ("price", "tells", "audit.listen"),
        ("shop.review", "asks", "price"),
    }
    assert narrowed(declared_map(SHOP)) == declared_map(SHOP)


@given(manifests())
def test_every_declared_edge_is_drawn_once_and_in_order(manifest: AppManifest) -> None:
    drawn = declared_map(manifest)
    keys = [(edge.event, edge.kind, edge.source, edge.target) for edge in drawn.edges]
    assert keys == sorted(set(keys))
    expected = {(h.name, "emits", name) for h in manifest.handlers for name in h.emits}
    expected |= {(h.name, "asks", name) for h in manifest.handlers for name in h.asks}
    expected |= {(name, "waits", h.name) for h in manifest.handlers for name in h.waits}
    for h in manifest.handlers:
        heard = {*h.triggers, *([h.answers] if h.answers else [])}
        expected |= {(name, "starts" if h.gating else "tells", h.name) for name in heard}
    assert {each for each in edges_of(drawn) if each[0] != OUTSIDE} == expected


@given(manifests())
def test_nothing_seen_marks_every_declared_edge(manifest: AppManifest) -> None:
    drawn = observed_map(declared_map(manifest), Tally())
    assert edges_of(drawn) == edges_of(declared_map(manifest))
    assert all(drawn.mark(edge) == "never seen" for edge in drawn.edges)


@given(st.lists(st.integers(-5, 10**12), min_size=1), st.sampled_from((0.5, 0.95, 1.0)))
def test_a_quantile_is_within_a_thirty_second_of_the_exact_one(durations: list[int], share: float) -> None:
    spread = Spread()
    for duration in durations:
        spread.add(duration)
    exact = max(sorted(durations)[ceil(share * len(durations)) - 1], 0)
    found = spread.quantile(share)
    assert found is not None
    assert exact - exact / 32 <= found <= exact


def test_a_spread_stays_small_however_much_it_is_told() -> None:
    spread = Spread()
    for number in range(100_000):
        spread.add(number * 37)
    assert spread.count == 100_000
    assert len(spread) < 600
    assert Spread().quantile(0.5) is None


def test_an_edge_knows_its_event_and_its_handler() -> None:
    made, heard = Edge(source="a.b", target="e", kind="emits"), Edge(source="e", target="a.b", kind="tells")
    assert (made.event, made.handler) == (heard.event, heard.handler) == ("e", "a.b")

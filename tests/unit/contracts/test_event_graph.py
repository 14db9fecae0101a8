"""The graph of manifests: its index, ways and components, against the plainest way to work them out."""

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.event_graph import PATH_SHOWN, EventGraph, Ways, node_of, strong_components
from onstage.contracts.manifest import AppManifest

NODES = "abcdefg"
Edges = dict[str, list[str]]
graphs = st.dictionaries(
    st.sampled_from(NODES), st.lists(st.sampled_from(NODES), max_size=3, unique=True), max_size=len(NODES)
)


def closure(edges: Edges) -> set[tuple[str, str]]:
    """The pairs of which the first leads to the second in some steps, or in none (Warshall)."""
    reach = {(a, a) for a in NODES} | {(a, b) for a, others in edges.items() for b in others}
    for middle, a, b in product(NODES, repeat=3):
        if (a, middle) in reach and (middle, b) in reach:
            reach.add((a, b))
    return reach


def nodes_of(graph: EventGraph) -> list[str]:
    return [*graph.types, *graph.nodes]


def reach_of(graph: EventGraph, starts: list[str]) -> set[str]:
    """What is reached, by trying every edge until nothing is new."""
    found = set(starts)
    while True:
        more = {other for node in found for other in graph.after(node)} | found
        if more == found:
            return found
        found = more


def test_the_index_knows_who_has_to_do_with_an_event() -> None:
    parts = (
        says("stock.reserve", "placed", "reserved | sold-out"),
        says("audit.listen", "pl*", gating=False),
        says("shop.wait", "placed", waits=("approved",), asks=("price",)),
        says("prices.tell", answers="price"),
    )
    graph = EventGraph(app(*parts))
    assert [each.name for each in graph.heard["placed"]] == ["shop.wait", "stock.reserve"]
    assert [each.name for each in graph.emitted["sold-out"]] == ["stock.reserve"]
    assert [each.name for each in graph.waited["approved"]] == ["shop.wait"]
    assert [each.name for each in graph.asked["price"]] == ["shop.wait"]
    assert [each.name for each in graph.answered["price"]] == ["prices.tell"]
    assert graph.after("price") == ("prices.tell()",)
    assert graph.after("shop.wait()") == ("price",)


def test_a_pattern_hears_the_known_types_that_match() -> None:
    listen = says("audit.listen", "shop.>", pattern=True, gating=False)
    graph = EventGraph(app(listen, says("shop.place", "web.order", "shop.placed"), process("web.order", "shop.ended")))
    assert graph.starting["audit.listen"] == ("shop.ended", "shop.placed")
    assert graph.heard["shop.placed"] == [listen]
    assert graph.gated["shop.placed"] == []


def test_a_handler_and_an_event_of_one_name_are_two_nodes() -> None:
    graph = EventGraph(app(says("shop.paid", "shop.placed", "shop.paid")))
    assert graph.after("shop.paid()") == ("shop.paid",)
    assert graph.after("shop.paid") == ()


@given(graphs, st.sampled_from(NODES))
def test_a_way_leads_to_what_is_reached_and_is_a_shortest_one(edges: Edges, start: str) -> None:
    ways = Ways([start], lambda node: edges.get(node, []))
    assert set(ways) == {b for a, b in closure(edges) if a == start}
    steps = {start: 0}
    for node in ways:
        for other in edges.get(node, []):
            steps.setdefault(other, steps[node] + 1)
    for node in ways:
        path = ways.path(node)
        assert path[0] == start
        assert path[-1] == node
        assert len(path) == steps[node] + 1
        assert all(b in edges[a] for a, b in pairwise(path))


def test_a_long_way_is_shown_by_its_end() -> None:
    ways = Ways(["0"], lambda node: [str(int(node) + 1)] if int(node) < 99 else [])
    assert ways.path("99") == ("…", *map(str, range(100 - PATH_SHOWN, 100)))
    assert ways.path("unknown") == ()


@given(graphs)
def test_components_are_what_leads_to_each_other_and_come_after_what_they_lead_to(edges: Edges) -> None:
    reach = closure(edges)
    found = strong_components(NODES, lambda node: edges.get(node, []))
    assert sorted(node for component in found for node in component) == sorted(NODES)
    place = {node: number for number, component in enumerate(found) for node in component}
    for a, b in product(NODES, repeat=2):
        assert (place[a] == place[b]) == ((a, b) in reach and (b, a) in reach)
        if (a, b) in reach:
            assert place[b] <= place[a]


@given(manifests())
def test_reached_by_is_the_reach_of_each_start(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    starts = [[*each.starts, *each.external] for each in manifest.processes]
    masks = graph.reached_by(starts)
    for number, names in enumerate(starts):
        assert {node for node in nodes_of(graph) if masks[node] >> number & 1} == reach_of(graph, names)
        assert set(graph.ways(names)) == reach_of(graph, names)


@given(manifests())
def test_every_edge_of_the_index_is_declared(manifest: AppManifest) -> None:
    graph = EventGraph(manifest)
    for handler in manifest.handlers:
        answered = () if handler.answers is None else (handler.answers,)
        assert set(graph.starting[handler.name]) == {*handler.triggers, *answered}
        assert set(graph.after(node_of(handler))) == {*handler.emits, *handler.asks}
    assert set(graph.from_outside) == {n for each in manifest.processes for n in (*each.starts, *each.external)}

"""The drawings of a map: each has every node and edge once, and nothing in a name breaks it."""

import re

import pytest
from hypothesis import given
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.manifest import AppManifest
from onstage.events.receipt import Status
from onstage.observe.map_drawing import as_dot, as_mermaid, as_text
from onstage.observe.service_map import OUTSIDE, Edge, ServiceMap, Tally, declared_map, observed_map

SHOP = app(
    says("shop.review", "placed", "accepted", waits=("approved",)),
    says("stock.reserve", "accepted", "reserved", asks=("price",)),
    says("audit.listen", "*", pattern=True, gating=False),
    process("placed", "reserved", external=("approved",)),
)
MERMAID_NODE = re.compile(r'^ +(\w+)(?:\(\["([^"<>]*)"\]\)|\["([^"<>]*)"\]|\(\("([^"<>]*)"\)\))$')
MERMAID_BOX = re.compile(r'^  subgraph (\w+)\["([^"<>]*)"\]$')
MERMAID_EDGE = re.compile(r'^  (\w+) (-->|-\.->|==>)(?:\|"([^"|]*)"\|)? (\w+)$')
DOT_EDGE = re.compile(r'^  (\w+) -> (\w+) \[style=(\w+), label="((?:[^"\\]|\\.)*)"\];$')
DOT_NODE = re.compile(r'^ +(\w+) \[(?:shape=(?:ellipse|circle), )?label="((?:[^"\\]|\\.)*)"\];$')


def parsed_mermaid(text: str) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """The labels of the nodes and the edges (source, arrow, target); every line must be one that is known."""
    first, *lines = text.splitlines()
    assert first == "flowchart LR"
    nodes: dict[str, str] = {}
    edges, depth = [], 0
    for line in lines:
        if found := MERMAID_EDGE.match(line):
            edges.append((found[1], found[2], found[4]))
            continue
        opens = MERMAID_BOX.match(line)
        depth += 1 if opens else -1 if line == "  end" else 0
        assert depth in (0, 1), "boxes are not nested, and each is closed"
        node = None if opens else MERMAID_NODE.match(line)
        assert opens or node or line == "  end", line
        if node:
            assert node[1] not in nodes, "a node is drawn once"
            nodes[node[1]] = node[2] or node[3] or node[4]
    assert depth == 0
    assert all(a in nodes and b in nodes for a, _, b in edges), "an edge joins nodes that are drawn"
    return nodes, edges


def labelled(drawn: ServiceMap) -> list[tuple[str, str]]:
    """The edges by what their ends are called."""
    return sorted((_short(edge, edge.source), _short(edge, edge.target)) for edge in drawn.edges)


def _short(edge: Edge, name: str) -> str:
    return name if name in (edge.event, OUTSIDE) else name.partition(".")[2]


@given(manifests())
def test_mermaid_has_every_edge_between_nodes_that_are_there(manifest: AppManifest) -> None:
    drawn = declared_map(manifest)
    nodes, edges = parsed_mermaid(as_mermaid(drawn))
    assert sorted((nodes[a], nodes[b]) for a, _, b in edges) == labelled(drawn)
    handlers = [name.partition(".")[2] for names in drawn.services.values() for name in names]
    outside = [OUTSIDE] if any(edge.source == OUTSIDE for edge in drawn.edges) else []
    assert sorted(nodes.values()) == sorted([*handlers, *drawn.events, *outside])


@given(manifests())
def test_dot_has_every_edge_between_nodes_that_are_there(manifest: AppManifest) -> None:
    drawn = declared_map(manifest)
    lines = as_dot(drawn).splitlines()
    nodes = {found[1]: found[2] for line in lines if (found := DOT_NODE.match(line))}
    edges = [(found[1], found[2]) for line in lines if (found := DOT_EDGE.match(line))]
    assert sorted((nodes[a], nodes[b]) for a, b in edges) == labelled(drawn)
    assert sum(line.rstrip().endswith("{") for line in lines) == sum(line.strip() == "}" for line in lines)


@given(manifests())
def test_text_names_every_handler_under_its_service(manifest: AppManifest) -> None:
    drawn = declared_map(manifest)
    text = as_text(drawn)
    blocks = dict(re.findall(r"^(\S+)\n((?:  .*\n)+)", text, re.MULTILINE))
    for service, handlers in drawn.services.items():
        named = re.findall(r"^  (\S+)$", blocks[service], re.MULTILINE)
        assert named == [name.partition(".")[2] for name in handlers]
    for edge in drawn.edges:
        assert edge.event in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_text_reads_as_one_would_say_it() -> None:
    assert as_text(declared_map(SHOP)).splitlines() == [
        "from outside",
        "  approved -> shop.review (waits)",
        "  placed -> shop.review",
        "",
        "audit",
        "  listen",
        "    listens to accepted, approved, placed, price, reserved",
        "",
        "shop",
        "  review",
        "    on placed",
        "    waits for approved",
        "    emits accepted -> stock.reserve",
        "",
        "stock",
        "  reserve",
        "    on accepted",
        "    asks price",
        "    emits reserved",
    ]


def test_numbers_and_marks_stand_beside_their_edge() -> None:
    tally = Tally()
    tally.event("placed", None)
    tally.event("accepted", "gone.handler")
    tally.execution("placed", "shop.review", Status.PARKED, None)
    tally.execution("placed", "shop.review", Status.DONE, 12)
    drawn = observed_map(declared_map(SHOP), tally)
    text = as_text(drawn)
    assert "  placed (1) -> shop.review\n" in text
    assert "    on placed (2, 1 failed, p50 12 ms, p95 12 ms)\n" in text
    assert "gone\n  handler\n    emits accepted (1) [not declared] -> stock.reserve\n" in text
    assert "    on accepted [never seen]\n" in text
    nodes, edges = parsed_mermaid(as_mermaid(drawn))
    arrows = {(nodes[a], nodes[b]): arrow for a, arrow, b in edges}
    assert arrows["placed", "review"] == "-->"
    assert arrows["accepted", "reserve"] == "-.->"
    assert arrows["handler", "accepted"] == "==>"
    assert '[style=bold, label="(1) [not declared]"]' in as_dot(drawn)


@pytest.mark.parametrize("name", ['a"b', "a<b>", "end", "a|b", "a\\b", "subgraph"])
def test_a_name_from_elsewhere_breaks_no_drawing(name: str) -> None:
    drawn = declared_map(app(says("s.h", name, "b")))
    nodes, _ = parsed_mermaid(as_mermaid(drawn))
    assert len(nodes) == 4
    labels = {found[2] for line in as_dot(drawn).splitlines() if (found := DOT_NODE.match(line))}
    assert {label.replace("\\\\", "\\").replace('\\"', '"') for label in labels} == {name, "b", "h", "outside"}


def test_an_empty_map_says_so() -> None:
    assert as_text(declared_map(AppManifest())) == "nothing to draw\n"

"""A service map as text for people, as Mermaid and as DOT; the same bytes for the same map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from onstage.observe.service_map import OUTSIDE, Edge, ServiceMap

__all__ = ["as_dot", "as_mermaid", "as_text"]

_HEARD: Final = {"starts": "on", "waits": "waits for", "tells": "listens to"}
_INDENT: Final = "  "
_WIDTH: Final = 110


def as_text(drawn: ServiceMap) -> str:
    """Service by service: each handler with what starts it and what it emits, and beside an event who reacts to it.

    An event of which numbers or a mark are to be told has a line of its own. Who only listens is not named beside an
    event. Lines grow with the edges of their own event only, so that a hundred services can be read and searched.
    """
    if not drawn.services and not drawn.edges:
        return "nothing to draw\n"
    into: dict[str, list[Edge]] = {}
    out_of: dict[str, list[Edge]] = {}
    reactions: dict[str, list[str]] = {}
    for edge in drawn.edges:
        if edge.kind in ("emits", "asks"):
            out_of.setdefault(edge.handler, []).append(edge)
            continue
        into.setdefault(edge.handler, []).append(edge)
        if edge.kind != "tells":
            shown = f"{edge.handler} (waits)" if edge.kind == "waits" else edge.handler
            reactions.setdefault(edge.event, []).append(shown)
    lines: list[str] = []
    if OUTSIDE in out_of:
        lines += ["from outside", *_made(drawn, out_of[OUTSIDE], reactions), ""]
    for service, handlers in drawn.services.items():
        lines.append(service)
        for handler in handlers:
            lines.append(f"{_INDENT}{handler.partition('.')[2]}")
            lines += _heard(drawn, into.get(handler, []))
            lines += _made(drawn, out_of.get(handler, []), reactions, depth=2)
        lines.append("")
    return "\n".join(lines)


def _heard(drawn: ServiceMap, edges: list[Edge]) -> Iterator[str]:
    for kind, word in _HEARD.items():
        events = [(edge.event, _numbers(edge) + _marked(drawn, edge)) for edge in edges if edge.kind == kind]
        plain = [event for event, more in events if not more]
        if plain:
            yield from _wrapped(f"{_INDENT * 2}{word} ", plain)
        yield from (f"{_INDENT * 2}{word} {event}{more}" for event, more in events if more)


def _made(drawn: ServiceMap, edges: list[Edge], reactions: dict[str, list[str]], depth: int = 1) -> Iterator[str]:
    for edge in edges:
        word = "asks " if edge.kind == "asks" else "" if edge.source == OUTSIDE else "emits "
        said = f"{_INDENT * depth}{word}{edge.event}{_numbers(edge)}{_marked(drawn, edge)}"
        after = reactions.get(edge.event, [])
        yield from _wrapped(f"{said} -> ", after) if after else [said]


def _wrapped(opening: str, words: list[str]) -> Iterator[str]:
    line = opening + words[0]
    for word in words[1:]:
        line += ","
        if len(line) + len(word) >= _WIDTH:
            yield line
            line = _INDENT * 3 + word
        else:
            line += f" {word}"
    yield line


def _numbers(edge: Edge) -> str:
    seen = edge.seen
    if seen is None:
        return ""
    parts = [f"{seen.count:,}"]
    parts += [f"{seen.failed:,} failed"] if seen.failed else []
    parts += [f"{seen.rejected:,} rejected"] if seen.rejected else []
    parts += [f"p50 {seen.p50_ms} ms, p95 {seen.p95_ms} ms"] if seen.p50_ms is not None else []
    return f" ({', '.join(parts)})"


def _marked(drawn: ServiceMap, edge: Edge) -> str:
    mark = drawn.mark(edge)
    return f" [{mark}]" if mark else ""


def as_mermaid(drawn: ServiceMap) -> str:
    """A Mermaid flowchart: a box for each service with its handlers, events between them.

    Edges that were never seen are dashed, those that nobody declared are thick; both say so.
    """
    name = _numbering(drawn)
    lines = ["flowchart LR"]
    for service, handlers in drawn.services.items():
        lines.append(f'  subgraph {name(f"service {service}")}["{_plain(service)}"]')
        lines += [f'    {name(handler)}["{_plain(handler.partition(".")[2])}"]' for handler in handlers]
        lines.append("  end")
    lines += [f'  {name(f"event {event}")}(["{_plain(event)}"])' for event in drawn.events]
    if any(edge.source == OUTSIDE for edge in drawn.edges):
        lines.append(f'  {name(OUTSIDE)}(("outside"))')
    for edge in drawn.edges:
        arrow = {"never seen": "-.->", "not declared": "==>"}.get(drawn.mark(edge) or "", "-->")
        label = _label(drawn, edge)
        shown = f'|"{_plain(label)}"|' if label else ""
        lines.append(f"  {name(_end(edge, edge.source))} {arrow}{shown} {name(_end(edge, edge.target))}")
    return "\n".join(lines) + "\n"


def as_dot(drawn: ServiceMap) -> str:
    """A Graphviz digraph of the same form: services are clusters."""
    name = _numbering(drawn)
    lines = ["digraph onstage {", "  rankdir=LR;", "  node [shape=box];"]
    for service, handlers in drawn.services.items():
        lines += [f"  subgraph cluster_{name(f'service {service}')} {{", f"    label={_quoted(service)};"]
        lines += [f"    {name(handler)} [label={_quoted(handler.partition('.')[2])}];" for handler in handlers]
        lines.append("  }")
    lines += [f"  {name(f'event {event}')} [shape=ellipse, label={_quoted(event)}];" for event in drawn.events]
    if any(edge.source == OUTSIDE for edge in drawn.edges):
        lines.append(f'  {name(OUTSIDE)} [shape=circle, label="outside"];')
    for edge in drawn.edges:
        style = {"never seen": "dashed", "not declared": "bold"}.get(drawn.mark(edge) or "", "solid")
        ends = f"{name(_end(edge, edge.source))} -> {name(_end(edge, edge.target))}"
        lines.append(f"  {ends} [style={style}, label={_quoted(_label(drawn, edge))}];")
    return "\n".join([*lines, "}"]) + "\n"


def _end(edge: Edge, name: str) -> str:
    return f"event {name}" if name == edge.event and name != edge.handler else name


def _label(drawn: ServiceMap, edge: Edge) -> str:
    word = "" if edge.kind in ("emits", "starts") else edge.kind
    return f"{word}{_numbers(edge)}{_marked(drawn, edge)}".strip()


def _numbering(drawn: ServiceMap) -> Callable[[str], str]:
    """Names that every tool takes, in the order of the map: `s1`, `h1`, `e1`."""
    names = {OUTSIDE: "outside"}
    names |= {f"service {service}": f"s{number}" for number, service in enumerate(drawn.services, 1)}
    handlers = [handler for each in drawn.services.values() for handler in each]
    names |= {handler: f"h{number}" for number, handler in enumerate(handlers, 1)}
    names |= {f"event {event}": f"e{number}" for number, event in enumerate(drawn.events, 1)}
    return names.__getitem__


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

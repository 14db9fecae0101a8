"""The causal tree of one process as lines of text, drawn without recursion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from onstage.cli.printing import age, clean, moment, shortened, styled
from onstage.events.receipt import Status
from onstage.reading.causal_tree import EventNode, ExecutionNode, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["lines"]

DATA_COLUMNS: Final = 60
ERROR_COLUMNS: Final = 200


def lines(roots: list[EventNode], now_ms: int, *, is_view: bool = False) -> Iterator[str]:
    """The tree as lines; what hangs below a node is drawn with branches of its own.

    `is_view`: it was read from an observer's store, where nothing can be retried.
    """
    stack: list[tuple[EventNode | ExecutionNode, str, str]] = [(root, "", "") for root in reversed(roots)]
    while stack:
        node, head, rest = stack.pop()
        below: list[Any] = node.executions if isinstance(node, EventNode) else node.emitted
        yield head + (_event_line(node) if isinstance(node, EventNode) else _execution_line(node, now_ms))
        for detail in () if isinstance(node, EventNode) else _details(node, is_view=is_view):
            yield f"{rest}{'│' if below else ' '}    {detail}"
        for child in reversed(below):
            is_last = child is below[-1]
            stack.append((child, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  ")))


def _event_line(node: EventNode) -> str:
    origin = "  from outside" if node.from_outside else f"  from {clean(node.from_service)}" * bool(node.from_service)
    data = bytes(node.data).decode(errors="replace") if isinstance(node.data, msgspec.Raw) else str(node.data)
    time = f"{moment(node.ms)[11:]}.{node.ms % 1000:03d}"
    shown = _bold(clean(node.type))
    return f"{shown} #{node.n}  {time}{origin}  {shortened(clean(data), DATA_COLUMNS)}"


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _execution_line(node: ExecutionNode, now_ms: int) -> str:
    parts = [styled(node.status)]
    if node.waits:
        parts.append(f"for {clean(' or '.join(node.waits))}")
    if node.due_ms is not None:
        ahead = node.due_ms - now_ms
        parts.append(f"until {moment(node.due_ms)} UTC ({'in ' + age(ahead) if ahead >= 0 else 'due'})")
    if node.took_ms is not None:
        parts.append(f"in {age(node.took_ms)}")
    if node.attempts > 1:
        parts.append(f"{node.attempts} attempts")
    if "@" in node.handler:
        parts.append(f"(replay {clean(node.handler.partition('@')[2])})")
    elif not node.gating:
        parts.append("(not gating)")
    return f"{clean(node.handler)}  {' '.join(parts)}"


def _details(node: ExecutionNode, *, is_view: bool) -> Iterator[str]:
    for line in node.journal:
        yield clean(line)
    for beat in node.heartbeats:
        yield f"step {clean(beat)}"
    for key, value in node.state.items():
        yield shortened(clean(f"state {key} = {msgspec.json.encode(value).decode()}"), DATA_COLUMNS * 2)
    if node.error:
        yield shortened(clean(first_line(node.error)), ERROR_COLUMNS)
    if node.status in (Status.PARKED.label, Status.DIVERGED.label):
        retry = f"retry {node.id}` (or drop)"
        if is_view:
            retry = f"retry` (or drop) on the store of {clean(node.handler.partition('.')[0])}"
        yield f"to do: mend the cause, then `onstage dead {retry}"

"""What the simulator of `waves` knows of each segment, execution and part, and a wave that is broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onstage.core.wave import Action, Edge, Node, Undo, Wave

Key = tuple[int, str]


@dataclass
class Segment:
    """One segment as the simulator knows it: what it did, and all that it was caused by."""

    node: Node
    began_by: int | None
    causes: tuple[Node, ...]
    outputs: list[int] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)  # "begun", "effect", "done"


@dataclass
class Execution:
    """A reaction that runs or has ended."""

    event: int
    handler: str
    exempt: bool
    segments: list[Segment] = field(default_factory=list)
    hopes: int | None = None
    ended: bool = False


@dataclass
class Store:
    """One part: what it has recorded, and the wave it has in memory."""

    executions: dict[Key, Execution] = field(default_factory=dict)
    mail: dict[str, list[int]] = field(default_factory=dict)
    tombstones: set[Key] = field(default_factory=set)
    joined: bool = False
    asked: set[Edge] = field(default_factory=set)
    answers: dict[Edge, bool] = field(default_factory=dict)
    undone: dict[Node, bool] = field(default_factory=dict)
    undoing: set[Node] = field(default_factory=set)
    sent: set[tuple[str, Edge]] = field(default_factory=set)
    wave: Any = None
    arrived: set[Key] = field(default_factory=set)
    is_root_told: bool = False


class EarlyWave:
    """A wave that does not wait for what was caused: broken on purpose."""

    def __init__(self, is_here: Any) -> None:
        self._wave, self._said, self._more = Wave(is_here), set[Node](), list[Undo]()

    def ended(self, event: Any, handler: Any, parts: Any) -> None:
        self._more += [Undo(Node(event, handler, at)) for at, part in enumerate(parts) if part.is_due]
        self._wave.ended(event, handler, parts)

    def take(self) -> list[Action]:
        more, self._more = self._more, []
        return [*more, *self._wave.take()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wave, name)

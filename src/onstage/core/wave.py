"""The wave that undoes a process: what follows from what ended, was asked, answered and undone. Decides, never acts.

Theory of operation. A process is a graph of *segments* (`onstage.core.segments`): nodes, joined by *edges*, pairs of
an event and a handler that heard it, or may have taken it in a wait. What a node did may be undone once each of its
edges is answered and the next segment of its execution is undone. So a node's undo comes after those of all that it
caused.

Each store has a `Wave` for its part of the process, from the moment at which it hears that the process is undone. It
begins nothing more, and stops what runs; a reaction that was asked for before its event came gets a *tombstone*:
should the event come, it does not run. The edge of an event to a handler is answered when the first segment of that
reaction is undone; the edge to a handler that waits, when no execution of it runs any more and all segments that the
event began are undone. Edges to handlers elsewhere are asked for by `Cancel` and answered by `Answer`: two messages
for each edge that crosses, and none inside a part.

Everything that is told may be told again. A part is never stored: it is built anew by telling it what is recorded,
every reaction with `starts` before anything else. It then says again what is not done; whoever acts recognises
repetitions by the names of nodes and edges.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

__all__ = ["Action", "Answer", "Cancel", "Edge", "Node", "Part", "State", "Stop", "Tombstone", "Undo", "Wave"]


class State(StrEnum):
    """Where a reaction stands in a wave."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    UNDONE = "undone"
    TOMBSTONE = "tombstone"


class Edge(NamedTuple):
    """An event and a handler that it obliges; with `waits`, one that may take it in a wait."""

    event: Hashable
    handler: Hashable
    waits: bool = False


class Node(NamedTuple):
    """One segment of the reaction of a handler to an event."""

    event: Hashable
    handler: Hashable
    segment: int


class Part(NamedTuple):
    """What a wave must know of one segment: the event it took (None for the first), its edges, whether it did anything.

    What it did that is to be undone is nobody's business here, only whether there is any.
    """

    began_by: Hashable | None
    edges: tuple[Edge, ...]
    is_due: bool


class Stop(NamedTuple):
    """A reaction that runs is to end, without undoing anything."""

    event: Hashable
    handler: Hashable


class Tombstone(NamedTuple):
    """A reaction that has not begun must never begin."""

    event: Hashable
    handler: Hashable


class Undo(NamedTuple):
    """What this node did is to be undone now."""

    node: Node


class Cancel(NamedTuple):
    """Ask the part that has this handler."""

    edge: Edge


class Answer(NamedTuple):
    """Tell the part that asked: all that this edge led to is undone. `residue` says that some of it was given up."""

    edge: Edge
    residue: bool


Action = Stop | Tombstone | Undo | Cancel | Answer


@final
class _Reaction:
    __slots__ = ("left", "parts", "state", "undoing", "undone")

    def __init__(self) -> None:
        self.state = State.RUNNING
        self.parts: Sequence[Part] | None = None
        self.left: list[int] = []  # for each segment, what is still to be undone before it
        self.undoing: set[int] = set()
        self.undone: set[int] = set()


@final
class Wave:
    """One store's part of the undoing of one process. Tell it what happened, `take` what is to be done."""

    def __init__(self, is_here: Callable[[Hashable], bool] = lambda _: True) -> None:
        """Nothing is known yet. `is_here` says whether a handler runs in this part."""
        self._is_here = is_here
        self._to_stop: list[Stop] = []
        self._reactions: dict[tuple[Hashable, Hashable], _Reaction] = {}
        self._running: dict[Hashable, int] = {}
        self._parents: dict[Edge, Node | None] = {}
        self._asked: set[Edge] = set()
        self._answered: set[Edge] = set()
        self._took: dict[Edge, list[Node]] = {}
        self._expected: dict[Hashable, set[Edge]] = {}  # edges to waits that are asked for, by handler
        self._open = 0  # nodes known and not undone
        self._work: deque[Node] = deque()
        self._actions: list[Action] = []
        self.residue: set[Hashable] = set()

    # What happened.

    def starts(self, event: Hashable, handler: Hashable) -> None:
        """A reaction exists here, which is to be stopped unless it has ended, or is known to be a tombstone."""
        if (event, handler) in self._reactions:
            return
        self._reactions[event, handler] = _Reaction()
        self._running[handler] = self._running.get(handler, 0) + 1
        self._to_stop.append(Stop(event, handler))

    def ended(self, event: Hashable, handler: Hashable, parts: Sequence[Part]) -> None:
        """A reaction has ended, however it did; `parts` are its segments. None at all: it has never begun."""
        self.starts(event, handler)
        reaction = self._reactions[event, handler]
        if reaction.parts is not None:
            return
        reaction.state = State.CANCELLING if parts else State.TOMBSTONE
        reaction.parts = parts = parts or (Part(None, (), is_due=False),)
        last = len(parts) - 1
        self._open += len(parts)
        reaction.left = [len(part.edges) + (at < last) for at, part in enumerate(parts)]
        self._running[handler] -= 1
        for at, part in enumerate(parts):
            node = Node(event, handler, at)
            if part.began_by is not None:
                self._took.setdefault(Edge(part.began_by, handler, waits=True), []).append(node)
            for edge in part.edges:
                self._parents[edge] = node
                self._ask(edge)
            self._work.append(node)
        if not self._running[handler]:
            for edge in self._expected.get(handler, set()).copy():
                self._look_at_wait(edge)
        self._settle()

    def root(self, edges: Iterable[Edge]) -> None:
        """What an event from outside led to is to be undone as well."""
        for edge in edges:
            if edge not in self._parents:
                self._parents[edge] = None
                self._ask(edge)
        self._settle()

    def cancel(self, edge: Edge) -> None:
        """Another part asks for this edge."""
        if edge in self._answered:
            self._actions.append(Answer(edge, bool(self.residue)))
        self._asked.add(edge)
        self._ask(edge)
        self._settle()

    def answered(self, edge: Edge, *, residue: bool = False) -> None:
        """Another part has undone all that this edge led to."""
        if residue:
            self.residue.add(edge)
        self._answer(edge)
        self._settle()

    def undone(self, node: Node, *, residue: bool = False) -> None:
        """What this node did is undone, or (`residue`) given up."""
        if residue:
            self.residue.add(node)
        self._finish(node)
        self._settle()

    # What follows.

    def take(self) -> list[Action]:
        """What is to be done now; each is said once."""
        stops = [stop for stop in self._to_stop if self._reactions[stop].parts is None]
        actions, self._actions, self._to_stop = [*stops, *self._actions], [], []
        return actions

    @property
    def is_over(self) -> bool:
        """Whether nothing runs here, all that was done is undone, and all that was asked elsewhere is answered."""
        waits = any(edge not in self._answered for edge in self._parents)
        return not (self._open or any(self._running.values()) or waits)

    def state(self, event: Hashable, handler: Hashable) -> State | None:
        """Where a reaction stands; None if it is not known here."""
        reaction = self._reactions.get((event, handler))
        return None if reaction is None else reaction.state

    # Inside.

    def _ask(self, edge: Edge) -> None:
        if edge in self._answered:
            self._lessen(edge)
            return
        if not self._is_here(edge.handler):
            self._actions.append(Cancel(edge))
            return
        if edge.waits:
            self._expected.setdefault(edge.handler, set()).add(edge)
            self._look_at_wait(edge)
            return
        reaction = self._reactions.get((edge.event, edge.handler))
        if reaction is None:
            self._actions.append(Tombstone(edge.event, edge.handler))
            self._bury(edge)
        elif 0 in reaction.undone:
            self._answer(edge)

    def _bury(self, edge: Edge) -> None:
        reaction = self._reactions[edge.event, edge.handler] = _Reaction()
        reaction.state, reaction.parts, reaction.left = State.TOMBSTONE, (Part(None, (), is_due=False),), [0]
        self._running.setdefault(edge.handler, 0)
        self._open += 1
        self._work.append(Node(edge.event, edge.handler, 0))

    def _look_at_wait(self, edge: Edge) -> None:
        if self._running.get(edge.handler):
            return
        if all(node.segment in self._reactions[node[:2]].undone for node in self._took.get(edge, ())):
            self._expected.get(edge.handler, set()).discard(edge)
            self._answer(edge)

    def _settle(self) -> None:
        while self._work:
            node = self._work.popleft()
            reaction = self._reactions[node[:2]]
            assert reaction.parts is not None, "only nodes of what has ended are looked at"
            at = node.segment
            if reaction.left[at] or at in reaction.undoing or at in reaction.undone:
                continue
            if not reaction.parts[at].is_due:
                self._finish(node)
                continue
            reaction.undoing.add(at)
            self._actions.append(Undo(node))

    def _finish(self, node: Node) -> None:
        reaction, at = self._reactions[node[:2]], node.segment
        assert reaction.parts is not None, "only what has ended is undone"
        if at in reaction.undone:
            return
        reaction.undone.add(at)
        self._open -= 1
        began_by = reaction.parts[at].began_by
        if began_by is not None and (edge := Edge(began_by, node.handler, waits=True)) in self._expected.get(
            node.handler, ()
        ):
            self._look_at_wait(edge)
        if at:
            reaction.left[at - 1] -= 1
            self._work.append(Node(node.event, node.handler, at - 1))
            return
        if reaction.state is not State.TOMBSTONE:
            reaction.state = State.UNDONE
        self._answer(Edge(node.event, node.handler))

    def _answer(self, edge: Edge) -> None:
        if edge in self._answered:
            return
        self._answered.add(edge)
        self._lessen(edge)
        if edge in self._asked:
            self._actions.append(Answer(edge, bool(self.residue)))

    def _lessen(self, edge: Edge) -> None:
        parent = self._parents.get(edge)
        if parent is None:
            return
        self._reactions[parent[:2]].left[parent.segment] -= 1
        self._work.append(parent)

"""Random processes that are undone: the pure wave, in parts that talk, against a simulator that knows everything.

Executions emit, wait for what others emit (also for what follows from their own), do steps that can be undone, and are
interrupted between a step's effect and its record. Messages come late, twice and out of order; a part dies and is built
anew from what it has recorded. The simulator keeps its own graph of what caused what, and judges each undo by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.processes.parts import EarlyWave, Execution, Key, Segment, Store

from onstage.core.wave import Action, Answer, Cancel, Edge, Node, Part, Stop, Tombstone, Undo, Wave

TYPES = 5


@dataclass
class Figures:
    """What came of many processes."""

    processes: int = 0
    nodes: int = 0
    undos: int = 0
    edges: int = 0
    messages: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Take in the figures of further processes."""
        self.kinds.update(other.kinds)
        self.wrong += other.wrong
        for name in ("processes", "nodes", "undos", "edges", "messages"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        """In one line."""
        each = self.messages / max(self.edges, 1)
        did = f"{self.processes:,} processes undone: {self.nodes:,} segments, {self.undos:,} undos"
        return f"{did}, {each:.2f} control messages for each of {self.edges:,} edges: {len(self.wrong)} wrong"


class World:
    """Plays one process, its abort, and its wave to the end. `broken` leaves out one rule."""

    def __init__(self, seed: int, broken: str = "") -> None:
        self.random = random = Random(seed)
        self.broken = broken
        self.stores = [Store() for _ in range(random.choice((1, 1, 2, 3, 4)))]
        names = [f"h{n}" for n in range(random.randint(2, 8))]
        self.home = {name: random.randrange(len(self.stores)) for name in names}
        self.triggers = {
            t: random.sample(names, random.choice((0, 1, 1, 2, 3)) % (len(names) + 1)) for t in range(TYPES)
        }
        self.triggers[0] = random.sample(names, random.choice((1, 2)))
        self.waits = {t: [name for name in names if random.random() < 0.3] for t in range(TYPES)}
        self.types: dict[int, int] = {}
        self.exempt: set[int] = set()
        self.emitter: dict[int, Node] = {}
        self.roots: list[int] = []
        self.budget = random.choice((3, 8, 20, 40))
        self.row = "running"  # the process' row, in the store of the owner
        self.pivots = random.random() < 0.2
        self.network: list[tuple[str, int, Any]] = []
        self.clock: Counter[str] = Counter()
        self.undo_order: list[Node] = []
        self.wrong: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.messages = 0

    # Forward.

    def play(self) -> World:
        self._outside(0)
        abort_at = self.random.choice((1, 5, 15, 40, 80, 10_000))
        moves = 0
        while moves < 6_000:
            moves += 1
            if moves >= abort_at and self.random.random() < 0.2:
                self._abort()
            if not self._move():
                if self.row == "cancelling":
                    break
                if self.row == "pivoted":
                    break
                self.kinds["undone on request"] += self.row == "running"
                self._abort(after_end=True)
            if self.random.random() < 0.02:
                self._crash(self.random.choice(self.stores))
        self._judge(moves)
        return self

    def _outside(self, kind: int) -> None:
        event = len(self.types) + 1
        self.types[event] = kind
        self.roots.append(event)
        self._publish(event)

    def _publish(self, event: int) -> None:
        kind = self.types[event]
        for name in self.triggers[kind]:
            self._send("event", self.home[name], (event, name))
        for name in self.waits[kind]:
            self._send("mail", self.home[name], (event, name))

    def _send(self, kind: str, to: int, body: Any) -> None:
        self.network.append((kind, to, body))
        if self.random.random() < 0.2:
            self.network.append((kind, to, body))

    def _abort(self, *, after_end: bool = False) -> None:
        self.clock["aborts"] += 1
        if self.row == "running" and (self.budget < 38 or after_end):
            self.row = "cancelling"
            self._join(self.stores[0])

    def _move(self) -> bool:
        """One thing happens somewhere; False if nothing can."""
        can: list[Any] = [("deliver", at) for at in range(len(self.network))]
        for store in self.stores:
            can += [("undo", store, node) for node in store.undoing if node not in store.undone]
            can += [("run", store, each) for each in store.executions.values() if not each.ended and self._runs(each)]
        if not can:
            return False
        match self.random.choice(can):
            case ("deliver", at):
                self._deliver(*self.network.pop(at))
            case ("undo", store, node):
                self._undo(store, node)
            case ("run", store, execution):
                self._run(store, execution)
        return True

    def _runs(self, execution: Execution) -> bool:
        store = self.stores[self.home[execution.handler]]
        stops = store.joined and not execution.exempt
        return stops or execution.hopes is None or self._found(store, execution) is not None or not self.network

    def _deliver(self, kind: str, to: int, body: Any) -> None:
        store = self.stores[to]
        if kind == "event":
            self._begin(store, body)
        elif kind == "mail":
            event, name = body
            box = store.mail.setdefault(name, [])
            box.extend([event] * (event not in box))
        elif kind == "cancel":
            self._join(store)
            store.asked.add(body[0])
            store.wave.cancel(body[0])
            self._act(store)
        else:
            edge, residue = body
            self.clock["answers"] += 1
            store.answers[edge] = residue
            if store.wave is None:
                self._join(store)
            store.wave.answered(edge, residue=residue)
            self._act(store)

    def _begin(self, store: Store, key: Key) -> None:
        if key in store.executions:
            return
        is_dead = key in store.tombstones
        exempt = key[0] in self.exempt
        if store.joined and not exempt and self.broken != "no tombstone":
            self.kinds["tombstone"] += 1
            self.kinds["overtaken"] += is_dead
            store.tombstones.add(key)
            return
        if is_dead:
            self.wrong.append(f"{key} ran after its tombstone")
        causes = (self.emitter[key[0]],) if key[0] in self.emitter else ()
        first = Segment(Node(*key, 0), None, causes)
        store.executions[key] = Execution(*key, exempt, [first])
        if store.joined and not exempt:
            self.wrong.append(f"{key} began after its part had joined")

    def _found(self, store: Store, execution: Execution) -> int | None:
        taken = {each.began_by for each in execution.segments} | {execution.event}
        box = store.mail.get(execution.handler, ())
        return next((n for n in box if self.types[n] == execution.hopes and n not in taken), None)

    def _run(self, store: Store, execution: Execution) -> None:
        random, here = self.random, execution.segments[-1]
        if store.joined and not execution.exempt:
            self.kinds["stopped"] += 1
            if "begun" in here.steps or "effect" in here.steps:
                self.kinds["in doubt"] += 1
            self._end(store, execution)
            return
        if execution.hopes is not None:
            event = self._found(store, execution)
            execution.hopes = None
            if event is not None:
                self.kinds["took"] += 1
                causes = (here.node, *([self.emitter[event]] if event in self.emitter else ()))
                node = Node(execution.event, execution.handler, len(execution.segments))
                execution.segments.append(Segment(node, event, causes))
            return
        if here.steps and here.steps[-1] != "done":
            here.steps[-1] = {"begun": "effect", "effect": "done"}[here.steps[-1]]
            return
        draw = random.random()
        if draw < 0.3 and self.budget:
            self._emit(execution, here)
        elif draw < 0.5 and len(here.steps) < 3:
            here.steps.append("begun")
        elif draw < 0.65 and len(execution.segments) < 4:
            execution.hopes = random.randrange(TYPES)
        elif draw < 0.7 and self.pivots and self.row != "cancelling":
            self.row = "pivoted"
            self.kinds["pivot"] += 1
        else:
            for _ in range(random.choice((0, 1, 2))):
                if self.budget:
                    self._emit(execution, here)
            self._end(store, execution)

    def _emit(self, execution: Execution, here: Segment) -> None:
        self.budget -= 1
        event = len(self.types) + 1
        self.types[event] = self.random.randrange(TYPES)
        self.emitter[event] = here.node
        if execution.exempt:
            self.exempt.add(event)
        elif self.row == "running" and self.random.random() < 0.02:  # an outcome that decides
            self.kinds["decided by an outcome"] += 1
            self.exempt.add(event)
            self.row = "cancelling"
            self._join(self.stores[0])
        here.outputs.append(event)
        self._publish(event)

    # The wave.

    def _wave(self, store: Store) -> Wave:
        here = self.stores.index(store)
        wave = (EarlyWave if self.broken == "early" else Wave)(lambda name: self.home[str(name)] == here)
        for key, each in store.executions.items():
            if not each.exempt:
                wave.starts(*key)
        for key in store.tombstones:
            wave.starts(*key)
            wave.ended(*key, ())
        for each in store.executions.values():
            if each.ended and not each.exempt:
                wave.ended(each.event, each.handler, self._parts(each))
        for node, residue in store.undone.items():
            wave.undone(node, residue=residue)
        for edge in store.asked:
            wave.cancel(edge)
        for edge, residue in store.answers.items():
            wave.answered(edge, residue=residue)
        if here == 0:
            wave.root(edge for event in self.roots for edge in self._edges(event))
        return wave

    def _join(self, store: Store) -> None:
        if store.joined:
            return
        store.joined = True
        store.wave = self._wave(store)
        self._act(store)

    def _crash(self, store: Store) -> None:
        if store.joined:
            self.kinds["crash"] += 1
            store.undoing = set()
            store.wave = self._wave(store)
            self._act(store)

    def _edges(self, event: int) -> Iterator[Edge]:
        kind = self.types[event]
        yield from (Edge(event, name) for name in self.triggers[kind])
        yield from (Edge(event, name, waits=True) for name in self.waits[kind])

    def _parts(self, execution: Execution) -> list[Part]:
        parts = [
            Part(
                each.began_by,
                tuple(edge for event in each.outputs if event not in self.exempt for edge in self._edges(event)),
                is_due=any(step == "done" or self.broken != "doubt" for step in each.steps),
            )
            for each in execution.segments
        ]
        if self.broken == "by execution":  # nothing of it is undone before all that any of it led to
            *earlier, last = parts
            edges = tuple(edge for part in parts for edge in part.edges)
            return [*(Part(part.began_by, (), is_due=part.is_due) for part in earlier), last._replace(edges=edges)]
        return parts

    def _end(self, store: Store, execution: Execution) -> None:
        execution.ended = True
        if store.wave is not None and not execution.exempt:
            store.wave.ended(execution.event, execution.handler, self._parts(execution))
            self._act(store)

    def _act(self, store: Store) -> None:
        actions: list[Action] = store.wave.take()
        for action in actions:
            match action:
                case Stop():
                    pass  # whatever runs in a part that has joined sees it at its next step
                case Tombstone(event=event, handler=name):
                    store.tombstones.add((event, name))
                case Undo(node=node):
                    store.undoing.add(node)
                case Cancel(edge=edge):
                    self._say(store, "cancel", self.home[str(edge.handler)], (edge, False))
                case Answer(edge=edge, residue=residue):
                    cause = self.emitter.get(edge.event)
                    to = 0 if cause is None else self.home[str(cause.handler)]
                    self._say(store, "answer", to, (edge, residue))

    def _say(self, store: Store, kind: str, to: int, body: tuple[Edge, bool]) -> None:
        """A control message is recorded with what led to it, and sent once."""
        if (kind, body[0]) not in store.sent:
            store.sent.add((kind, body[0]))
            self.messages += 1
            self._send(kind, to, body)

    def _undo(self, store: Store, node: Node) -> None:
        if node in store.undone:
            self.wrong.append(f"{node} was undone twice")
        self.undo_order.append(node)
        store.undone[node] = residue = self.random.random() < 0.02
        self.kinds["residue"] += residue
        store.wave.undone(node, residue=residue)
        self._act(store)

    # What is true.

    def all_segments(self) -> list[Segment]:
        return [s for store in self.stores for x in store.executions.values() if not x.exempt for s in x.segments]

    def crossings(self) -> int:
        """The edges of what the wave went through that lead to another part."""
        homes = {event: self.home[str(node.handler)] for event, node in self.emitter.items()}
        events = [event for event in (*self.roots, *self.emitter) if event not in self.exempt]
        edges = [edge for event in events for edge in self._edges(event)]
        return sum(self.home[str(edge.handler)] != homes.get(int(str(edge.event)), 0) for edge in edges)

    def _judge(self, moves: int) -> None:
        if self.row != "cancelling":
            if self.undo_order or any(store.joined for store in self.stores):
                self.wrong.append("undone though it was not cancelled")
            return
        segments = {each.node: each for each in self.all_segments()}
        did = {node for node, each in segments.items() if each.steps}
        undone = Counter(self.undo_order)
        for node in did:
            if undone[node] != 1:
                self.wrong.append(f"{node} was undone {undone[node]} times, its steps: {segments[node].steps}")
        at = {node: place for place, node in enumerate(self.undo_order)}
        for node, each in segments.items():
            for cause in self._causes(segments, each):
                if cause in at and node in at and at[cause] < at[node]:
                    self.wrong.append(f"{cause} was undone before {node}, which it caused")
        owner = self.stores[0].wave
        if not owner.is_over:
            self.wrong.append(f"the wave has not come to its end after {moves} moves")

    def _causes(self, segments: dict[Node, Segment], each: Segment) -> set[Node]:
        found, todo = set[Node](), list(each.causes)
        while todo:
            node = todo.pop()
            if node not in found and node in segments:
                found.add(node)
                todo += segments[node].causes
        return found


def play_many(first: int, count: int, broken: str = "") -> Figures:
    """Processes of consecutive seeds."""
    total = Figures()
    for seed in range(first, first + count):
        world = World(seed, broken).play()
        total.processes += 1
        total.nodes += len(world.all_segments())
        total.undos += len(world.undo_order)
        if world.row == "cancelling" and len(world.stores) > 1:
            total.edges += world.crossings()
            total.messages += world.messages
        world.kinds[f"{len(world.stores)} parts"] += 1
        world.kinds["aborted again"] += world.clock["aborts"] > 1
        total.kinds.update({kind: 1 for kind, often in world.kinds.items() if often})
        total.wrong += [f"seed {seed}: {what}" for what in world.wrong[:3]]
    return total

"""Searches a model exhaustively: every state that can be reached, breadth first, so that a trace is a shortest one.

Theory of operation. A model names its first state and the steps out of each state. `explore` visits every reachable
state once and asks three things of the model:

* safety: `wrong` finds nothing to complain about in any state;
* no deadlock: where nothing can happen any more but faults, everything is done;
* liveness: from every state a good end (`is_done`) can be reached *without any further fault*. A step whose label
  begins with "fault " is something the world does (a crash, a pause): it may happen, and nothing may depend on it.
"""

import gc
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)
FAULT = "fault"
STATES_MAX = 1_000_000
"""A model that has more states is no small model: the search ends with an error before it fills the memory."""


class Model(Protocol[S]):
    """A transition system: the state it begins in, and pure functions of a state."""

    first: S

    def steps(self, state: S) -> Iterable[tuple[str, S]]:
        """What can happen next: a label, and the state after it. A label's first word is its kind."""
        ...

    def wrong(self, state: S) -> str | None:
        """Which invariant this state breaks, None if it breaks none."""
        ...

    def is_done(self, state: S) -> bool:
        """Whether this is a good end: everything that was asked for has happened."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to. `problem` is None if there is none; `trace` are the labels of a shortest way to it."""

    states: int
    steps: int
    problem: str | None = None
    trace: tuple[str, ...] = ()
    kinds: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        head = f"{self.states:,} states, {self.steps:,} steps"
        return head if self.problem is None else "\n  ".join([f"{head}: {self.problem}", *self.trace])


def explore(model: Model[S]) -> Found:
    """Visit every reachable state. Ends early at the first that is wrong or dead; raises if there are too many."""
    search = _Search(model)
    gc.disable()  # states hold no cycles, and looking for some takes a third of the time
    try:
        problem = search.safety() or search.liveness()
    finally:
        gc.enable()
    place, what = problem or (0, None)
    return Found(len(search.order), search.count, what, search.trace(place) if what else (), search.kinds)


class _Search(Generic[S]):
    """States are numbered in the order in which they are found, so that a smaller number is never farther away."""

    def __init__(self, model: Model[S]) -> None:
        self.model = model
        self.order = [model.first]
        self.number: dict[S, int] = {model.first: 0}
        self.parent: list[tuple[int, str]] = [(0, "")]
        self.before: list[list[int]] = [[]]  # whence a state is reached without a fault
        self.count = 0
        self.kinds: Counter[str] = Counter()

    def safety(self) -> tuple[int, str] | None:
        """The nearest state that is wrong or dead."""
        here = 0
        while here < len(self.order):
            state = self.order[here]
            wrong = self.model.wrong(state)
            if wrong is not None:
                return here, wrong
            if not self._expand(here, state) and not self.model.is_done(state):
                return here, "deadlock: nothing can happen any more, and it is not done"
            here += 1
        return None

    def _expand(self, here: int, state: S) -> bool:
        """Find all that follows from a state; answers whether anything can happen in it but faults."""
        moves = False
        for label, following in self.model.steps(state):
            self.count += 1
            kind = label.partition(" ")[0]
            self.kinds[label if kind == FAULT else kind] += 1
            there = self.number.get(following)
            if there is None:
                there = self._add(here, label, following)
            if kind != FAULT and there != here:
                self.before[there].append(here)
                moves = True
        return moves

    def _add(self, here: int, label: str, state: S) -> int:
        there = self.number[state] = len(self.order)
        assert there < STATES_MAX, f"more than {STATES_MAX} states: make the model smaller"
        self.order.append(state)
        self.parent.append((here, label))
        self.before.append([])
        return there

    def liveness(self) -> tuple[int, str] | None:
        """The nearest state from which no good end can be reached without a fault."""
        todo = [place for place, state in enumerate(self.order) if self.model.is_done(state)]
        hopeful = set(todo)
        while todo:
            fresh = [place for place in self.before[todo.pop()] if place not in hopeful]
            hopeful.update(fresh)
            todo += fresh
        hopeless = (place for place in range(len(self.order)) if place not in hopeful)
        place = next(hopeless, None)
        return None if place is None else (place, "stuck: from here no good end can be reached")

    def trace(self, place: int) -> tuple[str, ...]:
        """The labels on the way from the first state."""
        labels = []
        while place:
            place, label = self.parent[place]
            labels.append(label)
        return tuple(reversed(labels))

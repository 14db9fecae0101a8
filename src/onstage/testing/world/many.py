"""Many worlds on several processes, and what they came to in all."""

from __future__ import annotations

import gc
import logging
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from time import perf_counter
from typing import TYPE_CHECKING, Final, final

from onstage.testing.world.onlooker import MARKS
from onstage.testing.world.playing import Ground
from onstage.testing.world.programme import GUESTS, PLAYS
from onstage.testing.world.swarm import Fault
from onstage.testing.world.world_run import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Totals", "play_many", "quiet"]

WORLDS_AT_ONCE: Final = 50
COLLECT_EVERY: Final = 5
FAILURES_KEPT_MAX: Final = 20


_NO_FAULTS: Final = {Fault.REORDER.value, Fault.SLOW_DOOR.value, Fault.ASKED_AT_ONCE.value}


@final
@dataclass
class Totals:
    """Sums over worlds. `failures` are (seed, what did not hold), the first ones."""

    seeds: int = 0
    events: int = 0
    commits: int = 0
    crashes: int = 0
    failed: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, list[str]]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """One more world."""
        self.seeds += 1
        self.events += result.events
        self.commits += result.commits
        self.crashes += result.crashes
        self.faults.update({fault.value: count for fault, count in result.faults.items()})
        self.marks.update(result.marks)
        if result.violations:
            self.failed += 1
            self.failures.append((result.seed, result.violations))

    def merge(self, other: Totals) -> None:
        """All worlds of another part."""
        self.seeds += other.seeds
        self.events += other.events
        self.commits += other.commits
        self.crashes += other.crashes
        self.failed += other.failed
        self.faults += other.faults
        self.marks += other.marks
        self.failures = sorted(self.failures + other.failures)[:FAILURES_KEPT_MAX]

    @property
    def struck(self) -> int:
        """How many faults there were. What only changes the schedule or the workload is not counted here."""
        return sum(count for fault, count in self.faults.items() if fault not in _NO_FAULTS)

    @property
    def cold(self) -> list[str]:
        """The marks that no world has seen."""
        of_plays = (mark for play in (*PLAYS, *GUESTS) for mark in play.marks)
        return [mark for mark in (*MARKS, *of_plays) if not self.marks[mark]]


def play_many(
    first: int, seeds: int, workers: int, *, tell: Callable[[Totals, Totals], None] = lambda _part, _whole: None
) -> Totals:
    """Play worlds `first` to `first + seeds - 1` in so many processes. Nothing is logged.

    After each part of the worlds `tell` is given that part and the sum so far.
    """
    began, totals = perf_counter(), Totals()
    parts = [range(at, min(at + WORLDS_AT_ONCE, first + seeds)) for at in range(first, first + seeds, WORLDS_AT_ONCE)]
    for part in _parts(parts, workers):
        totals.merge(part)
        totals.seconds = perf_counter() - began
        tell(part, totals)
    return totals


def _parts(parts: list[range], workers: int) -> Iterator[Totals]:
    if workers <= 1:
        yield from map(_play_part, parts)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(_play_part, part) for part in parts]):
            yield done.result()


@contextmanager
def quiet() -> Iterator[None]:
    """What nodes say in a world of faults is no news: say nothing of it, and speak again afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


def _play_part(seeds: range) -> Totals:
    gc.disable()  # it takes a fifth of the time; it is made up for between worlds
    gc.freeze()  # what is there by now stays
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # kills leave calls that were made and never awaited
            return _play_all(seeds)
    finally:
        gc.unfreeze()
        gc.enable()


def _play_all(seeds: range) -> Totals:
    totals = Totals()
    with Ground() as ground:
        for seed in seeds:
            totals.add(ground.play(seed))
            if seed % COLLECT_EVERY == 0:
                gc.collect()
    gc.collect()
    return totals

"""The long run: `python -m tests.processes [--undone] [--engine] [--count 1000000] [--first SEED] [--seconds LIMIT]`.

Without `--engine` the processes are played by a simulator of their own, with it by the engine, 20 to a seed. A seed
that failed is played again with the command that is printed. After the limit nothing more is begun, and what was played
is told. With `--undone` the processes are undone.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.processes.engine import EACH, Tally, play_many
from tests.processes.folding import Figures, fold_many
from tests.processes.undone_engine import EACH as UNDONE_EACH
from tests.processes.undone_engine import Tally as Undone
from tests.processes.undone_engine import play_many as undo_many
from tests.processes.waves import Figures as Waves
from tests.processes.waves import play_many as wave_many

SLICE = 2_000
WORLDS_AT_ONCE = 50


def total(parts: list[Figures]) -> Figures:
    """The figures of all slices together."""
    whole = Figures()
    for part in parts:
        whole.kinds.update(part.kinds)
        whole.wrong += part.wrong
        for name, value in vars(part).items():
            if isinstance(value, int):
                setattr(whole, name, getattr(whole, name) + value)
    return whole


def until(limit_s: float, firsts: range, at_once: int) -> Iterator[range]:
    """The firsts, so many at once, as long as there is time."""
    began = time.perf_counter()
    for place in range(0, len(firsts), at_once):
        if time.perf_counter() - began >= limit_s:
            return
        yield firsts[place : place + at_once]


def through_the_engine(first: int, count: int, workers: int, limit_s: float) -> Tally:
    """Worlds of as many processes, each world a seed."""
    logging.disable(logging.ERROR)
    worlds, whole = max(count // EACH, 1), Tally()
    with ProcessPoolExecutor(workers) as pool:
        for some in until(limit_s, range(first, first + worlds), WORLDS_AT_ONCE):
            for part in pool.map(play_many, some, [1] * len(some)):
                whole.add(part)
    return whole


def folded(first: int, count: int, workers: int, limit_s: float) -> Figures:
    """As many stories, each a seed."""
    last, parts = first + count, list[Figures]()
    with ProcessPoolExecutor(workers) as pool:
        for some in until(limit_s, range(first, last, SLICE), 2 * workers):
            parts += pool.map(fold_many, some, [min(SLICE, last - place) for place in some])
    return total(parts)


def undone(first: int, count: int, workers: int, limit_s: float) -> Waves:
    """As many processes through the pure wave, each a seed."""
    last, whole = first + count, Waves()
    with ProcessPoolExecutor(workers) as pool:
        for some in until(limit_s, range(first, last, SLICE), 2 * workers):
            for part in pool.map(wave_many, some, [min(SLICE, last - place) for place in some]):
                whole.add(part)
    return whole


def undone_by_the_engine(first: int, count: int, workers: int, limit_s: float) -> Undone:
    """Worlds of as many processes, each world a seed."""
    logging.disable(logging.ERROR)
    worlds, whole = max(count // UNDONE_EACH, 1), Undone()
    with ProcessPoolExecutor(workers) as pool:
        for some in until(limit_s, range(first, first + worlds), WORLDS_AT_ONCE):
            for part in pool.map(undo_many, some, [1] * len(some)):
                whole.add(part)
    return whole


def main() -> int:
    """Fold the processes of many seeds; exit code 1 if the ledger was wrong about one."""
    parser = argparse.ArgumentParser(prog="python -m tests.processes")
    parser.add_argument("--count", type=int, default=18_000)
    parser.add_argument("--engine", action="store_true", help="through the engine, on SQLite")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing more after so long")
    parser.add_argument("--undone", action="store_true", help="undo them")
    chosen = parser.parse_args()
    if chosen.undone:
        play = undone_by_the_engine if chosen.engine else undone
        found = play(chosen.first, chosen.count, chosen.workers, chosen.seconds)
        print(found, *found.wrong[:20], sep="\n")
        return int(bool(found.wrong))
    if chosen.engine:
        tally = through_the_engine(chosen.first, chosen.count, chosen.workers, chosen.seconds)
        print(tally, *tally.wrong[:20], sep="\n")
        return int(bool(tally.wrong))
    began = time.perf_counter()
    figures = folded(chosen.first, chosen.count, chosen.workers, chosen.seconds)
    print(f"{figures}; {time.perf_counter() - began:.1f} s")
    print("\n".join(figures.wrong[:20]))
    return int(bool(figures.wrong))


if __name__ == "__main__":
    sys.exit(main())

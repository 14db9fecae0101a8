"""Hunts planted bugs: plays the worlds of `onstage sim`, seed by seed, until a checker complains."""

import gc
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.planted.bugs import BUGS, Bug

from onstage.testing.tour.touring import play_tour
from onstage.testing.world.playing import play

ROOT = Path(__file__).resolve().parents[2]
TEST_LIMIT_S = 300
SEEDS_MAX = 300
COLLECT_EVERY = 20


@dataclass(frozen=True)
class Found:
    """How a hunt went. `seeds` is how many worlds it took; `complaint` is empty if nothing was found.

    `checkers` are those that complained in the last world, of which at least one is named for the bug.
    """

    name: str
    seeds: int
    checkers: tuple[str, ...]
    complaint: str
    seconds: float

    @property
    def is_found(self) -> bool:
        """Whether a checker that is named for the bug has complained."""
        return bool(self.complaint)


def hunt(name: str, *, without: Collection[str] = (), first: int = 0, seeds: int = SEEDS_MAX) -> Found:
    """Plant this bug and play worlds from seed `first` on. The checkers in `without` are not listened to."""
    bug, began = BUGS[name], perf_counter()
    wanted, others = bug.checkers - set(without), set[str]()
    with _quiet():
        for seed in range(first, first + seeds):
            with bug.planted():
                violations = _complaints(bug, seed, without)
            found = next((what for by, what in violations if by in wanted), "")
            checkers = {by for by, _ in violations}
            # What the engine does there without the bug does not count.
            if found and checkers & wanted - {by for by, _ in _complaints(bug, seed, without)}:
                return Found(name, seed - first + 1, tuple(sorted(checkers)), found, perf_counter() - began)
            others |= checkers
            if seed % COLLECT_EVERY == COLLECT_EVERY - 1:
                gc.collect()
    return Found(name, seeds, tuple(sorted(others)), "", perf_counter() - began)


def run_test(name: str) -> Found:
    """Run the test that is named for this bug with the bug planted. The bug is found if it fails, and not otherwise."""
    test, began = BUGS[name].elsewhere, perf_counter()
    assert test is not None, "a bug is found in worlds or elsewhere"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.planted.plugin", test]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"ONSTAGE_PLANTED_BUG": name},
        capture_output=True,
        text=True,
        timeout=TEST_LIMIT_S,
        check=False,
    )
    failed = done.returncode == 1  # neither passed, nor no such test
    return Found(name, 0, (test,), "it fails" if failed else "", perf_counter() - began)


def _complaints(bug: Bug, seed: int, without: Collection[str]) -> list[tuple[str, str]]:
    violations = play_tour(seed).violations if bug.on_tour else play(seed).violations
    told = [(what.partition(":")[0], what) for what in violations]
    return [(by, what) for by, what in told if by not in without]


@contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kills leave calls that were made and never awaited
            yield
            gc.collect()
    finally:
        logging.disable(level)
        gc.enable()

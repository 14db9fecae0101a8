"""Looks for a tape on which the two stores differ, and makes it small."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import final

from tests.fuzz.store_pair import Differs, Pair
from tests.fuzz.store_story import Story, Tape, draw
from tests.fuzz.trial import CASES

__all__ = ["Found", "Search", "shrunk"]


@final
@dataclass(frozen=True)
class Found:
    """A difference: on which seed, the smallest tape that shows it, and what differs there."""

    seed: int
    tape: Tape
    what: str


@final
class Search:
    """Plays tapes, each on a fresh pair of stores below `folder`."""

    def __init__(self, folder: Path) -> None:
        """Everything is below this folder, and gone when a tape was played."""
        self._folder = folder
        self._numbers = count()
        self.seen: Counter[str] = Counter()

    def play(self, tape: Tape) -> str | None:
        """What differs when this tape is played, or None."""
        CASES["store sequences"] += 1
        CASES["store operations"] += len(tape)
        return asyncio.run(self._play(tape))

    async def _play(self, tape: Tape) -> str | None:
        place = self._folder / str(next(self._numbers))
        place.mkdir()
        pair = Pair(place)
        try:
            await Story(pair).play(tape)
        except Differs as differs:
            return str(differs)
        finally:
            self.seen += pair.seen
            with suppress(Exception):
                await pair.close()
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
        return None

    def first(self, seeds: range, length: int) -> Found | None:
        """The first seed whose tape of so many operations shows a difference, made small; None if there is none."""
        for seed in seeds:
            tape = draw(Random(seed), length)
            if self.play(tape) is not None:
                small = shrunk(tape, lambda smaller: self.play(smaller) is not None)
                return Found(seed, small, self.play(small) or "")
        return None


def shrunk(tape: Tape, differs: Callable[[Tape], bool]) -> Tape:
    """A smaller tape that still differs: whole operations away, the largest pieces first, then numbers to zero."""
    size = len(tape)
    while size := size // 2:
        tape = _without_pieces(tape, size, differs)
    before: Tape = []
    while before != tape:
        before = tape
        tape = _without_pieces(tape, 1, differs)
    for at, operation in enumerate(tape):
        for place in range(1, len(operation)):
            zeroed = (*tape[at][:place], 0, *tape[at][place + 1 :])
            candidate = [*tape[:at], zeroed, *tape[at + 1 :]]
            tape = candidate if zeroed != tape[at] and differs(candidate) else tape
    return tape


def _without_pieces(tape: Tape, size: int, differs: Callable[[Tape], bool]) -> Tape:
    at = 0
    while at < len(tape):
        candidate = tape[:at] + tape[at + size :]
        if differs(candidate):
            tape = candidate
            continue
        at += size
    return tape

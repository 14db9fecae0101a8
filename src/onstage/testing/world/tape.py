"""The tape: every choice of a world as a small integer, from a seed or from an earlier tape.

A tape has streams, one for each kind of choice, so that a choice left out in one shifts nothing in another. Zero means
"the first in line", "no fault" or "the least"; beyond its end a given tape holds zeros. So deleting and zeroing lead to
duller worlds, and the empty tape is the dullest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import final

__all__ = ["Stream", "Tape"]


@final
class Stream:
    """The choices of one kind, in order; `values` are those made so far."""

    __slots__ = ("_chance", "_given", "_seed", "values")

    def __init__(self, seed: str, given: Sequence[int] | None) -> None:
        """Draw from this seed, or answer what is `given`."""
        self._seed = seed
        self._chance: Callable[[], float] = self._first  # many streams of a world are never asked
        self._given = given
        self.values: list[int] = []

    def pick(self, count: int) -> int:
        """One of 0 to `count` - 1, all equally likely."""
        value = int(self._chance() * count) if self._given is None else self._next() % count
        self.values.append(value)
        return value

    def hit(self, rate: float) -> bool:
        """Whether something of this rate happens. A rate of 0 takes no place on the tape."""
        if rate <= 0:
            return False
        value = int(self._chance() < rate) if self._given is None else min(self._next(), 1)
        self.values.append(value)
        return value > 0

    def _first(self) -> float:
        self._chance = Random(self._seed).random
        return self._chance()

    def _next(self) -> int:
        assert self._given is not None, "asked for with a given tape only"
        place = len(self.values)
        return self._given[place] if place < len(self._given) else 0


@final
class Tape:
    """All streams of one world. The same seed, or the same values, give the same choices."""

    def __init__(self, seed: int, given: Mapping[str, Sequence[int]] | None = None) -> None:
        """From a seed; or, with `given`, from the values of an earlier tape."""
        self.seed = seed
        self._given = given
        self._streams: dict[str, Stream] = {}

    def stream(self, name: str) -> Stream:
        """The stream of this name, always the same one."""
        found = self._streams.get(name)
        if found is None:
            given = None if self._given is None else self._given.get(name, ())
            found = self._streams[name] = Stream(f"{self.seed}/{name}", given)
        return found

    def values(self) -> dict[str, list[int]]:
        """What was drawn, without the zeros at the ends: give it to another tape."""
        found = {}
        for name, stream in sorted(self._streams.items()):
            end = max((place for place, value in enumerate(stream.values, 1) if value), default=0)
            if end:
                found[name] = stream.values[:end]
        return found

"""Time and chance of a simulated world: the loop's time, and a seeded generator."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["START_MS", "VirtualClock"]

START_MS: Final = 1_767_225_600_000
"""Every world begins at the first moment of 2026, UTC."""


@final
class VirtualClock:
    """A `Clock` that repeats itself exactly for the same seed."""

    def __init__(self, seed: int, time_s: Callable[[], float]) -> None:
        """`time_s` is the loop's time in seconds."""
        self._random = Random(seed)
        self._time_s = time_s

    def now_ms(self) -> int:
        """Virtual wall-clock time in milliseconds since the epoch."""
        return START_MS + round(self._time_s() * 1000)

    def chance(self) -> float:
        """The next number of the seed, in [0, 1)."""
        return self._random.random()

    def token(self, size: int) -> bytes:
        """The next `size` bytes of the seed: unique within a world, foreseeable by design."""
        return self._random.randbytes(size)

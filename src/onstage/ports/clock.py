"""Time and chance: the only module that reads a clock or draws a random number."""

from __future__ import annotations

import random
import secrets
import time
from typing import Final, Protocol, final

__all__ = ["LOOK_AGAIN_S_MAX", "Clock", "SystemClock"]

LOOK_AGAIN_S_MAX: Final = 60.0
"""A wall clock can jump: whoever waits for a time of it looks at it again at least this often, in seconds."""


class Clock(Protocol):
    """Time and chance as the engine sees them; simulated in tests."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the epoch. It may jump in both directions."""
        ...

    def chance(self) -> float:
        """A random number in [0, 1)."""
        ...

    def token(self, size: int) -> bytes:
        """`size` random bytes that nobody can foresee."""
        ...


@final
class SystemClock:
    """The machine's clock and randomness."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def chance(self) -> float:
        """A random number in [0, 1)."""
        return random.random()

    def token(self, size: int) -> bytes:
        """`size` random bytes from the operating system."""
        return secrets.token_bytes(size)

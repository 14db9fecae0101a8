"""Time and chance: the only module that reads a clock or draws a random number."""

from __future__ import annotations

import random
import secrets
import time
from typing import Protocol, final

__all__ = ["Clock", "SystemClock"]


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

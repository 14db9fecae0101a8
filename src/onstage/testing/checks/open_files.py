"""I15: files that nobody closes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["open_descriptors"]

DESCRIPTORS: Final = Path("/proc/self/fd")


def open_descriptors() -> int:
    """How many files, sockets and pipes this process has open; 0 where the system does not tell."""
    return sum(1 for _ in DESCRIPTORS.iterdir()) if DESCRIPTORS.exists() else 0

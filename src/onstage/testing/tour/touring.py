"""Plays one tour from its beginning to its end: first faults strike, then all has to end, and every check to hold."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, final

from onstage.testing.tour.rest import check_rest, come_to_rest
from onstage.testing.tour.tour_world import TourWorld

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from enum import StrEnum

__all__ = ["TourResult", "play_tour", "run_tour"]

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it


@final
@dataclass(slots=True)
class TourResult:
    """What became of one tour."""

    seed: int
    violations: list[str]
    trace_hash: str
    crashes: int
    messages: int
    faults: Counter[StrEnum] = field(default_factory=Counter)
    marks: set[str] = field(default_factory=set)


def play_tour(seed: int, tape: Mapping[str, Sequence[int]] | None = None, *, commissioned: bool = False) -> TourResult:
    """Play the tour of this seed, or of an earlier tape of it, and answer what became of it.

    `commissioned` also asks, starts and cancels at nodes whose store does not answer.
    """
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="onstage-tour-", dir=place) as folder:
        return run_tour(TourWorld(seed, Path(folder), tape, commissioned=commissioned))


def run_tour(world: TourWorld) -> TourResult:
    """Faults first, then calm; then everything must have ended, and every check must hold."""
    record = world.record
    try:
        world.storm()
        come_to_rest(world)
        check_rest(world)
    except Exception as error:  # noqa: BLE001  whatever breaks a world is a finding
        record.complain("world", f"{type(error).__name__}: {error}")
    finally:
        world.close()
    return TourResult(
        world.tape.seed,
        record.violations,
        record.trace_hash,
        world.crashes,
        world.log.last,
        world.swarm.counts,
        record.marks,
    )

"""Where an instant stands on a timeline, in percent: in proportion, but idle gaps are collapsed and nothing coincides.

Two readings are mixed. Seven tenths of the width are shared out in proportion to time, long gaps in which nothing ran
left out; three tenths in equal parts, one for each thing that happened, so that a dozen hops within one millisecond
still stand side by side in the order in which they happened.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Gap", "TimeScale"]

GAPS_MAX: Final = 8
GAP_SHARE: Final = 0.25  # of what is left, from which on an idle gap is collapsed
GAP_TIMES: Final = 4  # longer than what is left, on average
GAP_WIDTH: Final = 4.0
GAP_MS_MIN: Final = 20
APART: Final = 7.0  # percent between the words on the axis
EDGE: Final = 2.5  # half of what the words of a tick take
RANKED: Final = 0.3  # of the width, given in equal parts to all that happened
STEPS_MS: Final = tuple(
    unit * count
    for unit, counts in (
        (1, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1000, (1, 2, 5, 10, 30)),
        (60_000, (1, 2, 5, 10, 30)),
        (3_600_000, (1, 2, 6, 12)),
        (86_400_000, (1, 2, 7, 30, 90, 365)),
    )
    for count in counts
)

Instant = tuple[int, int]
"""Milliseconds since the epoch, and the order of what happened within one."""


@final
class Gap(msgspec.Struct, frozen=True):
    """A time in which nothing ran, drawn narrow: from when to when (ms), and where its mark stands (percent)."""

    begun: int
    ended: int
    left: float
    width: float


@final
class TimeScale:
    """A mapping from instants to 0..100, growing with time. `gaps` are what was collapsed."""

    def __init__(self, instants: Iterable[Instant], busy: Iterable[tuple[int, int]] = ()) -> None:
        """Make the scale for these instants; no gap is collapsed inside one of the `busy` spans (ms)."""
        self._instants = sorted(set(instants)) or [(0, 0)]
        self.begun, self.ended = self._instants[0][0], self._instants[-1][0]
        collapsed = _idle_gaps(sorted({ms for ms, _ in self._instants}), sorted(busy))
        left_out = sum(end - begin for begin, end in collapsed)
        self._per_ms = (100 - GAP_WIDTH * len(collapsed)) / max(self.ended - self.begun - left_out, 1)
        self._collapsed = collapsed
        self._full = self._linear(self.ended) or 1.0
        self.gaps = tuple(self._gap(begin, end) for begin, end in collapsed)

    def at(self, instant: Instant) -> float:
        """Where this instant stands; one that is outside stands at the edge."""
        ms = min(max(instant[0], self.begun), self.ended)
        linear = self._linear(ms) / self._full * 100
        if len(self._instants) < 2:
            return round(linear, 3)
        share = RANKED if self.ended > self.begun else 1.0
        return round((1 - share) * linear + share * self._rank(instant) * 100, 3)

    def ticks(self, about: int = 6) -> list[tuple[int, float]]:
        """Round times since the beginning (ms) with their places: about so many, none inside a gap."""
        shown = max(self.ended - self.begun - sum(end - begin for begin, end in self._collapsed), 1)
        step = next((step for step in STEPS_MS if step * about >= shown), STEPS_MS[-1])
        found: list[tuple[int, float]] = [(0, self.at((self.begun, -1)))]
        edges = [(self.begun, self.begun), *self._collapsed, (self.ended, self.ended)]
        for (_, begun), (ended, _) in pairwise(edges):
            first = -(-(begun - self.begun) // step) * step
            found += [(since, self.at((self.begun + since, 0))) for since in range(first, ended - self.begun + 1, step)]
        apart: list[tuple[int, float]] = []
        for since, x in found:
            said = [_middle(at) for _, at in apart] + [gap.left + gap.width / 2 for gap in self.gaps]
            if all(abs(_middle(x) - other) > APART for other in said):
                apart.append((since, x))
        return apart

    def _gap(self, begun: int, ended: int) -> Gap:
        left, right = self.at((begun, 1 << 62)), self.at((ended, -1))
        width = min(right - left, GAP_WIDTH) * 0.6
        return Gap(begun, ended, round((left + right - width) / 2, 3), round(width, 3))

    def _linear(self, ms: int) -> float:
        place = (ms - self.begun) * self._per_ms
        for begin, end in self._collapsed:
            inside = min(max(ms - begin, 0), end - begin)
            place += (GAP_WIDTH * inside / (end - begin)) - inside * self._per_ms
        return place

    def _rank(self, instant: Instant) -> float:
        """How many of what happened came before, as a share; between two it is interpolated."""
        after = bisect_right(self._instants, instant)
        if after == 0:
            return 0.0
        before = self._instants[after - 1]
        part = 0.0
        if before != instant and after < len(self._instants):
            span = self._instants[after][0] - before[0]
            part = min((instant[0] - before[0]) / span, 1.0) if span else 0.5
        return min((after - 1 + part) / (len(self._instants) - 1), 1.0)


def _middle(x: float) -> float:
    """Where the words of a tick have their middle: those near an edge lie on this side of it."""
    return min(max(x, EDGE), 100 - EDGE)


def _idle_gaps(times: list[int], busy: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest gaps in which nothing ran, as long as each is a good part of what is left."""
    idle = [gap for gap in pairwise(times) if not _is_busy(gap, busy)]
    left, others = times[-1] - times[0], len(times) - 1
    found: list[tuple[int, int]] = []
    for begin, end in sorted(idle, key=lambda gap: gap[0] - gap[1])[:GAPS_MAX]:
        rest, others = left - (end - begin), others - 1
        if end - begin <= max(left * GAP_SHARE, GAP_TIMES * rest / max(others, 1), GAP_MS_MIN):
            break
        found.append((begin, end))
        left = rest
    return sorted(found)


def _is_busy(gap: tuple[int, int], busy: list[tuple[int, int]]) -> bool:
    return any(begin < gap[1] and gap[0] < end for begin, end in busy)

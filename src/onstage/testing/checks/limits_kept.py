"""Limits: how often something begins, and how long it waits for others that take turns with it."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = ["Run", "too_many_within", "waited_too_long"]

SLACK_S: Final = 0.01
"""A run begins so much after it was let in at most."""

TURNS: Final = 2
"""So many others go ahead at most: the one that is there already, and the one whose turn it is."""


class Run(Protocol):
    """One run of a handler: of which execution, in which life of the node, when (seconds)."""

    @property
    def execution(self) -> int:
        """Whose it is."""
        ...

    @property
    def life(self) -> int:
        """The number of the life."""
        ...

    @property
    def at_s(self) -> float:
        """When it began."""
        ...


def too_many_within(times: Iterable[float], most: int, window_s: float) -> Iterator[str]:
    """Times of which more than `most` lie within one window."""
    ordered = sorted(times)
    for place, at_s in enumerate(ordered):
        behind = bisect_left(ordered, at_s + window_s - SLACK_S, place)
        if behind - place > most:
            yield f"{behind - place} began within {window_s} s of {at_s:.3f}, and {most} may"
            return


def waited_too_long(crowd: Sequence[tuple[Run, bool]], everybody: Collection[Run]) -> Iterator[str]:
    """Those of a crowd that came at once who are marked, and began after more of the others than turns explain.

    A new life lets the turns begin anew, and whoever else of the same kind came earlier has its turn first.
    """
    for began, is_marked in crowd:
        if not is_marked:
            continue
        ahead = [other for other, other_is_marked in crowd if not other_is_marked and other.at_s < began.at_s]
        if not ahead:
            continue
        since_s = min(other.at_s for other in ahead)
        own = {id(other) for other, _ in crowd}
        strangers = sum(since_s <= other.at_s < began.at_s and id(other) not in own for other in everybody)
        lives = began.life - min(other.life for other in ahead)
        if len(ahead) > TURNS + lives + strangers:
            yield f"execution {began.execution} began after {len(ahead)} others of its crowd, and {strangers} more"

"""Milestones and the deadline of a process as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.cli.printing import age, clean, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.reading.milestones import Timed

__all__ = ["timed_lines"]


def timed_lines(found: list[Timed], now_ms: int) -> Iterator[str]:
    """One line each, as people read it."""
    for each in found:
        name = "deadline" if each.milestone is None else f"milestone {clean(each.milestone)}"
        left = ""
        if each.state == "open":
            left = f", {age(each.due_ms - now_ms)} left" if each.due_ms > now_ms else ", due now"
        elif each.state == "overdue":
            left = f" by {age(now_ms - each.due_ms)}"
        yield f"  {name} due {moment(each.due_ms)} UTC: {each.state}{left}"

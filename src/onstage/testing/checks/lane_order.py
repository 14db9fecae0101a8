"""I4: at one handler, events of one key have their effects in the order of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

__all__ = ["out_of_order"]

L = TypeVar("L", bound="Hashable")


def out_of_order(effects: Iterable[tuple[L, int]]) -> Iterator[str]:
    """Effects, as (lane, number of the event) in the order in which they happened, that overtook an earlier one.

    Give the first effect of each event where one may be repeated. Leave out what promises no order: events without a
    key, at a handler with `on_failure="park"` those that were set aside, with `lane="until-wait"` what comes after the
    first wait.
    """
    last: dict[L, int] = {}
    for lane, n in effects:
        if last.get(lane, n) > n:
            yield f"{lane} took event {n} after {last[lane]}"
        last[lane] = n

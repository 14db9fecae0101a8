"""Shrinks the tape of a failing world: streams go, then halves, then single choices, as long as it still fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Values", "shrink", "size"]

Values = dict[str, list[int]]
TRIES_MAX: Final = 400


def size(tape: Values) -> tuple[int, int]:
    """How dull a tape is: how many choices are not zero, and how many there are."""
    return sum(value != 0 for values in tape.values() for value in values), sum(map(len, tape.values()))


def shrink(tape: Values, fails: Callable[[Values], bool], *, tries: int = TRIES_MAX) -> Values:
    """The dullest tape found within so many tries that still fails; `tape` itself does."""
    best, progress = tape, True
    while progress and tries > 0:
        progress = False
        for candidate in _duller(best):
            if size(candidate) >= size(best):
                continue
            tries -= 1
            if fails(candidate):
                best, progress = candidate, True
                break
            if tries <= 0:
                break
    return best


def _duller(tape: Values) -> Iterator[Values]:
    for name in tape:
        yield {other: values for other, values in tape.items() if other != name}
    for name, values in sorted(tape.items(), key=lambda item: -len(item[1])):
        chunks = [len(values) >> halvings for halvings in range(len(values).bit_length())]
        for chunk in chunks:
            yield from (tape | {name: fewer} for fewer in _with_less(values, chunk))


def _with_less(values: list[int], chunk: int) -> Iterator[list[int]]:
    for start in range(0, len(values), chunk):
        if any(values[start : start + chunk]):
            yield _zeroed(values, start, chunk)
    for start in range(0, len(values), chunk):
        yield values[:start] + values[start + chunk :]


def _zeroed(values: list[int], start: int, count: int) -> list[int]:
    zeros = [0] * min(count, len(values) - start)
    return values[:start] + zeros + values[start + count :]

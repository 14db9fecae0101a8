"""Interned names: which handler keeps its number when names change between two starts, and what a type is numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.core.commit import HANDLERS_MAX
from onstage.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from onstage.ports.store import Declaration

__all__ = ["check_count", "interned", "renames", "retired", "undoing_numbers"]

Declared = tuple[tuple[str, tuple[str, ...]], ...]


def renames(known: Iterable[str], declared: Declared) -> list[tuple[str, str]]:
    """The renamings, (old, new), to apply one after the other to the `known` names.

    A declared (name, earlier names) that is not known takes over the first of its earlier names that is. The order of
    the declaration does not matter: a name that is given up in a renaming is free for the next.
    """
    old_names, new_names = set(known), set[str]()
    found: list[tuple[str, str]] = []
    while step := next(_claims(old_names, new_names, declared), None):
        old_names.remove(step[0])
        new_names.add(step[1])
        found.append(step)
    return found


def _claims(old_names: set[str], new_names: set[str], declared: Declared) -> Iterator[tuple[str, str]]:
    for name, was in declared:
        former = next((old for old in was if old in old_names), None)
        if former is not None and name not in old_names | new_names:
            yield former, name


def retired(known: Mapping[str, int], declared: Declared) -> dict[int, str]:
    """The handlers that the store knows and nobody declares any more."""
    present = {name for name, _ in declared}
    return {number: name for name, number in known.items() if name not in present}


def interned(known: Mapping[str, int], declared: Declared, ever: int) -> tuple[dict[str, int], int]:
    """The numbers of all handlers after this declaration, and the largest that was ever given.

    Raises OperationError if there are more handlers than numbers.
    """
    numbers = dict(known)
    for old, new in renames(numbers, declared):
        numbers[new] = numbers.pop(old)
    for name, _ in declared:
        if name not in numbers:
            ever += 1
            numbers[name] = ever
    check_count(numbers)
    return numbers, ever


def check_count(known: Mapping[str, int]) -> None:
    """Raises OperationError if there are more handlers than numbers."""
    if max(known.values(), default=0) > HANDLERS_MAX:
        raise OperationError(
            f"the store has {len(known)} handlers, at most {HANDLERS_MAX} fit\n"
            "  why: a handler keeps its number for ever\n  to do: begin with an empty store"
        )


def undoing_numbers(declaration: Declaration, types: Mapping[tuple[str, int], int]) -> dict[str, frozenset[int]]:
    """The numbers of the event types that have a declared process undone, by its name."""
    return {
        process: frozenset(number for (name, _), number in types.items() if name in names)
        for process, names in declaration.undoing.items()
    }

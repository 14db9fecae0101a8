"""I3: a recorded step had its effect, under one idempotency key in all attempts, and runs no more."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from onstage.core.journal import Stepped, Undone, is_final

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["changed_keys", "is_over", "never_happened", "shared_keys"]

P = TypeVar("P", bound="Hashable")
A = TypeVar("A", bound="Hashable")
B = TypeVar("B", bound="Hashable")


def is_over(entries: Iterable[Entry], position: str) -> bool:
    """Whether the journal holds what the call at `position` came to: then it must not run again."""
    return any(entry.position == position and (is_final(entry) or isinstance(entry, Undone)) for entry in entries)


def never_happened(file: StoredFile, happened: Collection[tuple[int, str]]) -> Iterator[str]:
    """Steps that are recorded though their effect, as (execution, position), was never seen outside."""
    for execution, entries in file.journals.items():
        for entry in entries:
            if isinstance(entry, Stepped | Undone) and (execution, entry.position) not in happened:
                yield f"{entry.position} of execution {execution} is recorded and never happened"


def changed_keys(calls: Iterable[tuple[P, str]]) -> Iterator[str]:
    """Calls, as (place, key), that ran under several keys: whoever got them cannot tell that they are one."""
    for place, keys in _with_several(calls):
        yield f"{place} ran under several keys: {sorted(keys)}"


def shared_keys(calls: Iterable[tuple[P, str]]) -> Iterator[str]:
    """Keys under which several calls ran, as (place, key): whoever got them takes the second for a repetition."""
    for key, places in _with_several((key, place) for place, key in calls):
        yield f"the key {key} was used by several: {sorted(map(str, places))}"


def _with_several(pairs: Iterable[tuple[A, B]]) -> Iterator[tuple[A, set[B]]]:
    found: defaultdict[A, set[B]] = defaultdict(set)
    for one, other in pairs:
        found[one].add(other)
    return ((one, others) for one, others in found.items() if len(others) > 1)

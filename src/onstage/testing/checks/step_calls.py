"""I3: a recorded step had its effect, under one idempotency key in all attempts, and runs no more."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from onstage.core.journal import Continued, Forked, Stepped, TokenDrawn, Undone, is_final

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["changed_keys", "is_over", "never_happened", "own_entries", "shared_keys", "since_renewal", "taken_from"]

P = TypeVar("P", bound="Hashable")
A = TypeVar("A", bound="Hashable")
B = TypeVar("B", bound="Hashable")


def since_renewal(entries: Iterable[Entry]) -> list[Entry]:
    """What was recorded since the execution has begun anew, if it has: positions are used again then."""
    found: list[Entry] = []
    for entry in entries:
        if isinstance(entry, Continued):
            found = []
        else:
            found.append(entry)
    return found


def own_entries(entries: Sequence[Entry]) -> Sequence[Entry]:
    """What an execution has recorded itself: behind what it took over, if it is a fork."""
    forked = max((place for place, entry in enumerate(entries) if isinstance(entry, Forked)), default=-1)
    return entries[forked + 1 :]


def taken_from(entries: Sequence[Entry], position: str) -> str | None:
    """Who did a step that an execution was forked from after it: as the keys of its calls begin; None, if itself did.

    The first one, if forked again. The `position` of a step from before the journal began anew has its length in front.
    """
    length, _, before = position.partition("/")
    until, named = (int(length), before) if length.isdigit() else (len(entries), position)
    since = max((at for at, e in enumerate(entries[: until - 1]) if isinstance(e, Continued)), default=-1)
    found = [at for at, e in enumerate(entries[:until]) if at > since and e.position == named]
    return next((e.origin for e in entries[found[-1] :] if isinstance(e, Forked)), None) if found else None


def is_over(entries: Iterable[Entry], position: str) -> bool:
    """Whether the journal holds what the call at `position` came to: then it must not run again."""
    return any(entry.position == position and (is_final(entry) or isinstance(entry, Undone)) for entry in entries)


def never_happened(file: StoredFile, happened: Collection[tuple[int, str]]) -> Iterator[str]:
    """Steps that are recorded though their effect, as (execution, position), was never seen outside.

    What a fork has taken over happened in another execution, and what has a token may be somebody else's doing.
    """
    for execution, entries in file.journals.items():
        tokens = {entry.position for entry in entries if isinstance(entry, TokenDrawn)}
        for entry in own_entries(entries):
            if isinstance(entry, Stepped) and f"token/{entry.position}" in tokens:
                continue
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

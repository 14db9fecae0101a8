"""Branches: a race has one winner, what losers did in vain is undone, and nothing of a finished run is half done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from onstage.core.branches import path_of
from onstage.core.journal import (
    Abandoned,
    Asked,
    Attempted,
    Begun,
    HandedOver,
    Raced,
    ScopeRejected,
    SleepOpened,
    Stepped,
    Undone,
    WaitOpened,
)
from onstage.events.receipt import Status
from onstage.testing.checks.step_calls import since_renewal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["half_done", "not_undone", "several_winners"]

_OPENED: Final = Begun | Attempted | HandedOver | Asked | SleepOpened | WaitOpened


def several_winners(file: StoredFile) -> Iterator[str]:
    """Races that were decided more than once."""
    for execution, entries in file.journals.items():
        won = Counter(entry.position for entry in since_renewal(entries) if isinstance(entry, Raced))
        if again := [position for position, count in won.items() if count > 1]:
            yield f"execution {execution} decided {again} more than once"


def not_undone(file: StoredFile) -> Iterator[str]:
    """Ended executions with an abandoned step, or one of a scope that was rejected, whose undo never ran."""
    for execution, entries in file.journals.items():
        row = file.executions.get(execution)
        if row is None or row.status not in (Status.DONE, Status.REJECTED):
            continue
        undone = Counter(e.position.removeprefix("undo/") for e in entries if isinstance(e, Undone))
        scopes = tuple(f"{entry.position}/" for entry in entries if isinstance(entry, ScopeRejected))
        for entry in entries:
            owed = isinstance(entry, Abandoned) or (isinstance(entry, Stepped) and entry.position.startswith(scopes))
            if owed and entry.undo and undone[entry.position] != 1:  # type: ignore[union-attr]
                yield f"execution {execution} undid {entry.position} {undone[entry.position]} times"


def half_done(file: StoredFile) -> Iterator[str]:
    """Calls of finished executions that were begun and have no end, but in branches that have lost a race."""
    for execution, entries in file.journals.items():
        row = file.executions.get(execution)
        if row is None or row.status != Status.DONE:
            continue
        since = since_renewal(entries)
        lost = tuple(_lost(since))
        latest = {entry.position: entry for entry in since}
        if left := [p for p, e in latest.items() if isinstance(e, _OPENED) and not p.startswith(lost)]:
            yield f"execution {execution} is done, and {left} never ended"


def _lost(entries: list[Entry]) -> Iterator[str]:
    """The beginnings of the positions that may be open: of branches that were stopped."""
    for entry in entries:
        if isinstance(entry, ScopeRejected):
            yield f"{entry.position}/"
        elif isinstance(entry, Raced):
            here = path_of(entry.position)  # a call that was made before it was given to the race stands there
            yield from {e.position for e in entries if path_of(e.position) == here and e.position != entry.position}
            own = f"{entry.position}/{entry.winner}/"
            prefix = f"{entry.position}/"
            yield from {
                f"{prefix}{each.position[len(prefix) :].partition('/')[0]}/"
                for each in entries
                if each.position.startswith(prefix) and not each.position.startswith(own)
            }

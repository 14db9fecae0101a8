"""I8: a timer is never early, fires once, and does fire."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from onstage.core.journal import Raced, ScopeRejected, SleepOpened, Transacted, WaitOpened, is_final
from onstage.events.receipt import Status
from onstage.testing.checks.step_calls import since_renewal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import Rows, StoredFile

__all__ = ["ended_twice", "never_over", "overdue"]


def ended_twice(file: StoredFile) -> Iterator[str]:
    """Durable calls with more than one end: a timer that fired twice, a wait that was answered twice."""
    for execution, entries in file.journals.items():
        since = since_renewal(entries)
        ended = Counter(e.position for e in since if is_final(e) and not isinstance(e, Transacted))
        if repeated := [position for position, count in ended.items() if count > 1]:
            yield f"execution {execution} ended {repeated} more than once"


def never_over(file: StoredFile) -> Iterator[str]:
    """Sleeps and waits of finished executions that were opened and have no end.

    For handlers that await all they begin: one that a handler gives up has none, nor one that has lost its race.
    """
    for execution, entries in file.journals.items():
        row = file.executions.get(execution)
        if row is None or row.status != Status.DONE:
            continue
        if any(isinstance(entry, Raced | ScopeRejected) for entry in entries):
            continue
        latest = {entry.position: entry for entry in entries}
        if left := [p for p, entry in latest.items() if isinstance(entry, SleepOpened | WaitOpened)]:
            yield f"execution {execution} is done, and {left} never ended"


def overdue(rows: Rows, now_ms: int, late_ms: int) -> Iterator[str]:
    """Executions that have been due for longer than this and still stand there as if they were not."""
    sql = "select id, due from onstage_execution where status in (2, 3) and due < ?"
    for execution, due in rows(sql, now_ms - late_ms):
        yield f"execution {execution} has been due for {now_ms - due} ms, and nothing fired"

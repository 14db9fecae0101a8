"""Workflows: a start has one run and one result, and a cancelled one leaves no child that nobody awaits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core.commit import event_of, execution_id
from onstage.core.journal import Answered, Asked, Rejected
from onstage.events.answer import START_PREFIX
from onstage.events.receipt import Status
from onstage.testing.checks.request_answers import answers_of
from onstage.testing.checks.step_calls import since_renewal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onstage.testing.checks.stored_file import StoredFile

TOLD_WITHIN_S: Final = 100.0
"""So long at most it takes to tell a child of the end of its parent, though the store be full for a while."""

__all__ = ["badly_started", "cancelled_seen", "orphans", "told_otherwise", "value_of"]


def badly_started(file: StoredFile) -> Iterator[str]:
    """Starts that have no run or several, and starts of a child that its parent's journal does not name."""
    children = {
        entry.event: execution
        for execution, entries in file.journals.items()
        for entry in entries
        if isinstance(entry, Asked)
    }
    numbers = {name: number for number, name in file.handlers.items()}
    for n, row in file.events.items():
        if not row.type.startswith(START_PREFIX):
            continue
        workflow = numbers.get(row.type.removeprefix(START_PREFIX))
        runs = [each for each in numbers.values() if execution_id(n, each) in file.executions]
        if runs != [workflow]:
            yield f"start {n} is run by {[file.handlers[each] for each in runs]}"
        if row.cause and children.get(n) != row.cause:
            yield f"start {n} was caused by execution {row.cause}, whose journal does not tell of it"


def orphans(file: StoredFile, ended_s: Mapping[int, float]) -> Iterator[str]:
    """Children of a run that was cancelled or terminated which went on though their result was still awaited.

    A child may have ended by itself before it was told; what may not be is that it is open, or was done long after its
    parent's end. `ended_s` says when executions came to their ends.
    """
    for execution, entries in file.journals.items():
        row = file.executions.get(execution)
        if row is None or row.status != Status.CANCELLED:
            continue
        answered = {entry.position for entry in since_renewal(entries) if isinstance(entry, Answered)}
        for entry in since_renewal(entries):
            child = file.executions.get(entry.child) if isinstance(entry, Asked) and entry.child else None
            if child is None or entry.position in answered:
                continue
            later_s = ended_s.get(entry.child, 0.0) - ended_s.get(execution, 0.0)  # type: ignore[union-attr]
            if child.is_open or (child.status == Status.DONE and later_s > TOLD_WITHIN_S):
                yield f"execution {execution} was cancelled, and its child {event_of(entry.child)} went on"  # type: ignore[union-attr]


def told_otherwise(file: StoredFile, told: Mapping[str, bytes]) -> Iterator[str]:
    """Results, by the public id of the start, that were told to somebody and are not those that are recorded."""
    answers = answers_of(file)
    for wire, data in told.items():
        found = [file.payloads[n] for n in answers.get(file.wires.get(wire, 0), ())]
        if found != [data]:
            yield f"the result of {wire} was told as {data!r}, and is recorded as {found}"


def cancelled_seen(file: StoredFile) -> tuple[int, int]:
    """How many runs were cancelled with undo, and how many ended at once."""
    ended = [
        any(isinstance(entry, Rejected) for entry in file.journals.get(execution, ()))
        for execution, row in file.executions.items()
        if row.status == Status.CANCELLED
    ]
    return sum(ended), len(ended) - sum(ended)


def value_of(data: bytes) -> object:
    """The value in an answer."""
    return msgspec.json.decode(data).get("value")

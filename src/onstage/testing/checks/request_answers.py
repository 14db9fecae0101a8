"""Answers: a request is answered once, with what its answerer came to, and whoever asked has taken that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from onstage.core.commit import event_of, execution_id
from onstage.core.journal import Answered, Asked, Continued
from onstage.events.answer import ANSWER_PREFIX, Answer
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["answers_of", "wrongly_answered"]

_FAILURES = {
    Status.REJECTED: {"rejected"},
    Status.DROPPED: {"dropped"},
    Status.CANCELLED: {"cancelled", "terminated"},
}


def answers_of(file: StoredFile) -> dict[int, list[int]]:
    """The numbers of the answers to each request, by the number of the request."""
    found: dict[int, list[int]] = {}
    for n, row in file.events.items():
        if row.type.startswith(ANSWER_PREFIX) and row.cause:
            found.setdefault(event_of(row.cause), []).append(n)
    return found


def wrongly_answered(file: StoredFile) -> Iterator[str]:
    """Requests with several answers, with none though they were handled, or whose asker has taken something else."""
    answers = answers_of(file)
    for request, found in answers.items():
        if len(found) > 1:
            yield f"request {request} was answered {len(found)} times: {found}"
            continue
        handled = file.executions.get(file.events[found[0]].cause)
        if handled is None:
            continue
        answer = msgspec.json.decode(file.payloads[found[0]], type=Answer)
        status = Status(handled.status)
        kind = None if answer.failure is None else answer.failure[0]
        wanted = {None} if status is Status.DONE else _FAILURES.get(status, set())
        if kind not in wanted:
            yield f"request {request} was handled and is {status.label}, and its answer says {kind or 'a value'}"
    yield from _unanswered(file, answers)
    for execution, entries in file.journals.items():
        for what in _taken(file, answers, entries):
            yield f"execution {execution}: {what}"


def _unanswered(file: StoredFile, answers: dict[int, list[int]]) -> Iterator[str]:
    answering = {
        number
        for number, name in file.handlers.items()
        for found in answers.values()
        if file.handlers.get(file.events[found[0]].cause & 0xFFFF) == name
    }
    settled = {Status.DONE, *_FAILURES}
    for n in file.events:
        for number in answering:
            row = file.executions.get(execution_id(n, number))
            if row is not None and row.status in settled and n not in answers:
                yield f"request {n} was handled and is {Status(row.status).label}, and has no answer"


def _taken(file: StoredFile, answers: dict[int, list[int]], entries: list[Entry]) -> Iterator[str]:
    asked: dict[str, Asked] = {}
    for entry in entries:
        if isinstance(entry, Continued):
            asked = {}
        elif isinstance(entry, Asked):
            if entry.position in asked:
                yield f"{entry.position} was asked twice, as events {asked[entry.position].event} and {entry.event}"
            asked[entry.position] = entry
        elif isinstance(entry, Answered):
            question = asked.get(entry.position)
            if question is None:
                yield f"{entry.position} was answered, and never asked"
            elif not entry.event and question.due is None:
                yield f"{entry.position} has no deadline, and passed it"
            elif entry.event and entry.event not in answers.get(question.event, ()):
                yield f"{entry.position} took event {entry.event}, which is no answer to {question.event}"
            elif entry.event and file.payloads[entry.event] != entry.data:
                yield f"{entry.position} took another answer than event {entry.event} holds"

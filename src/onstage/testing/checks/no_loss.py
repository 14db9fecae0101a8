"""I1: what was accepted reaches every handler and every wait that it is for, and comes to an end there."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from onstage.core.commit import event_of, execution_id, handler_of
from onstage.core.journal import Asked, WaitEnded
from onstage.events.receipt import Status
from onstage.testing.checks.stored_payloads import recorded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from onstage.core.journal import Entry
    from onstage.testing.checks.stored_file import Rows, StoredFile

__all__ = ["not_delivered", "not_ended", "unheard"]


def not_delivered(
    file: StoredFile,
    subscribed: Mapping[str, Collection[int]],
    waiting: Mapping[str, Collection[int]],
    counted: Collection[str] = (),
) -> Iterator[str]:
    """Events without an execution at each handler of their type, or that are not in each mailbox that waits for it.

    Both maps give the numbers of handlers by the name of an event type. Handlers that are `counted` elsewhere, and
    their replays, are left out.
    """
    apart = {number for number, name in file.handlers.items() if name.partition("@")[0] in counted}
    owed = {execution_id(n, number) for n, event in file.events.items() for number in subscribed.get(event.type, ())}
    there = set(file.executions)
    if apart:
        owed, there = ({x for x in each if handler_of(x) not in apart} for each in (owed, there))
    if missing := sorted(owed - there):
        yield f"obligations are missing: {missing[:3]}"
    if extra := sorted(there - owed):
        yield f"executions without an obligation: {extra[:3]}"
    letters = {(number, event.process, n) for n, event in file.events.items() for number in waiting.get(event.type, ())}
    mail = set(file.rows("select handler, process, n from onstage_mail where handler > 0"))
    if lost := sorted(letters - mail):
        yield f"mail is missing (handler, process, event): {lost[:3]}"
    if extra_mail := sorted(mail - letters):
        yield f"mail that nobody waits for (handler, process, event): {extra_mail[:3]}"


def not_ended(file: StoredFile, may_be_dropped: Collection[int]) -> Iterator[str]:
    """Executions that are still open, or that were dropped though no operator had a reason to."""
    for execution, row in file.executions.items():
        if row.is_open:
            yield f"execution {execution} is still {Status(row.status).label}"
        elif row.status == Status.DROPPED and execution not in may_be_dropped:
            yield f"execution {execution} was dropped, and nobody asked for it"


def unheard(rows: Rows) -> Iterator[str]:
    """Waits for which mail lies there that they have not taken. Look when nothing has been on its way for a while."""
    waiting = rows("select id, process, waits from onstage_execution where status = 2 and waits is not null")
    if not waiting:
        return
    mail: defaultdict[tuple[int, int], list[tuple[int, str]]] = defaultdict(list)
    sql = (
        "select m.handler, m.process, m.n, t.name from onstage_mail m join onstage_event e on e.n = m.n"
        " join onstage_type t on t.id = e.type where m.about = 0"
    )
    answered = {about for (about,) in rows("select about from onstage_mail where about > 0")}
    for handler, process, n, name in rows(sql):
        mail[handler, process].append((n, name))
    for execution, process, waits in waiting:
        seen = {event_of(execution), *_taken(rows, execution)}
        for n, name in mail[handler_of(execution), process]:
            if name in waits.split(" ") and n not in seen:
                yield f"execution {execution} waits, and event {n} is there"
        for n in _asked(rows, execution) & answered if answered else ():
            yield f"execution {execution} waits, and the answer to event {n} is there"


def _taken(rows: Rows, execution: int) -> set[int]:
    return {entry.event for entry in _journal(rows, execution) if isinstance(entry, WaitEnded)}


def _asked(rows: Rows, execution: int) -> set[int]:
    """The requests of an execution that its journal has no answer to."""
    newest = {entry.position: entry for entry in _journal(rows, execution)}
    return {entry.event for entry in newest.values() if isinstance(entry, Asked)}


def _journal(rows: Rows, execution: int) -> list[Entry]:
    bodies = rows("select body from onstage_entry where execution = ? order by place", execution)
    return [recorded(body) for (body,) in bodies]

"""What must hold between stores that share a log: nothing is lost on the way, or twice, and observers tell the truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from onstage.events.receipt import OPEN_MAX, Status
from onstage.testing.checks.stored_part import process_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from onstage.testing.checks.stored_file import Rows
    from onstage.testing.checks.stored_part import StoredPart

    Gates = Mapping[str, Mapping[str, Collection[str]]]

__all__ = ["differing", "known_twice", "not_arrived", "out_of_balance", "too_early", "unknown_to"]


def not_arrived(parts: Mapping[str, StoredPart], owed: Gates) -> Iterator[str]:
    """Events that a handler which owes them something never got, and handlers that got one they do not owe.

    `owed` gives the full names of handlers by service and event type.
    """
    logged = {wire: event for part in parts.values() for wire, event in part.events.items() if wire in part.own}
    for service, part in parts.items():
        wanted = {(wire, name) for wire, event in logged.items() for name in owed[service].get(event.type, ())}
        if missing := sorted(wanted - set(part.executions)):
            yield f"{service} never got {missing[:3]}, {len(missing)} in all"
        if extra := sorted(set(part.executions) - wanted):
            yield f"{service} got {extra[:3]}, which it does not owe"
        for (wire, name), status in part.executions.items():
            if status <= OPEN_MAX:
                yield f"{name} of {wire} is still {Status(status).label} in {service}"


def known_twice(part: StoredPart) -> Iterator[str]:
    """Events and processes that one store has under two numbers."""
    for what, names in (("event", part.wires.values()), ("process", part.processes.values())):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{what} {name} has {count} numbers in one store"


def out_of_balance(parts: Mapping[str, StoredPart], watching: StoredPart) -> Iterator[str]:
    """Processes whose parts do not add up to zero at rest, or whose observer has another sum or count."""
    sums: defaultdict[str, int] = defaultdict(int)
    for part in parts.values():
        for process, digest in part.digests.items():
            sums[process] ^= digest
    for process, digest in sums.items():
        if digest:
            yield f"process {process}: its parts add up to {digest:032x}"
    for wire, is_open, digest in watching.rows("select wire_id, open, hex(digest) from onstage_process"):
        if is_open or digest.strip("0"):
            yield f"process {wire}: the observer has {is_open} open, digest {digest}"
        if wire not in sums:
            yield f"process {wire}: the observer made it up"


def unknown_to(watching: StoredPart, parts: Mapping[str, StoredPart]) -> Iterator[str]:
    """Events that an observer does not have, or has otherwise; statuses of obligations that it has otherwise."""
    seen = watching.events
    for service, part in parts.items():
        for wire in part.own:
            if wire not in seen:
                yield f"the observer does not know event {wire} of {service}"
            elif seen[wire] != part.events[wire]:
                yield f"the observer has {seen[wire]} for {part.events[wire]}"
        for execution, status in part.executions.items():
            if watching.executions.get(execution) != status:
                yield f"the observer has {watching.executions.get(execution)} for {execution}, {service} has {status}"


def too_early(parts: Mapping[str, Rows], watching: Rows, process: str, owed: Gates) -> str | None:
    """What of a process is still open or on its way although an observer says that it has ended, if anything is.

    `owed` gives the full names of the gating handlers by service and event type. What follows from an event from
    outside that the observer has not read yet is not counted: the process had ended before it came.
    """
    views = {service: process_in(rows, process) for service, rows in parts.items()}
    known = process_in(watching, process).events
    has = {wire: event for view in views.values() for wire, event in view.events.items()}
    fresh = {wire for wire, (_, cause) in has.items() if cause is None and wire not in known}
    grows = True
    while grows:
        more = {wire for wire, (_, cause) in has.items() if cause in fresh} - fresh
        grows = bool(more)
        fresh |= more
    for wire in sorted(has.keys() - fresh):
        for service, view in views.items():
            for handler in owed[service].get(has[wire][0], ()):
                status = view.executions.get((wire, handler), None)
                if status is None:
                    return f"{handler} has not got {wire}"
                if status <= OPEN_MAX:
                    return f"{handler} of {wire} is {Status(status).label}"
    return None


def differing(
    one: Mapping[str, Mapping[object, object]], other: Mapping[str, Mapping[object, object]]
) -> Iterator[str]:
    """What two observers of one log have differently."""
    for what, rows in one.items():
        for name in sorted({*rows, *other[what]}, key=str):
            if rows.get(name) != other[what].get(name):
                yield f"{what}: {name} is {rows.get(name)}, and read from the beginning {other[what].get(name)}"

"""What an operator does to a subscription: deliver its history again, or write off what a gone handler left open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.core import lifecycle
from onstage.core.commit import Commit, Note, Notes, RefusedBecause, handler_of
from onstage.core.lifecycle import Input
from onstage.core.undoing import UNDO
from onstage.errors import UsageError
from onstage.events.delayed import LATER
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.answering import write_off_said
from onstage.runtime.operations import commit_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.ports.store import EventView, Reader, Stored
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.emission import Emission
    from onstage.runtime.node import Node

__all__ = ["RETIRED", "Retirement", "manage", "retirements"]

RETIRED: Final = "retired"
"""The topic of the records of handlers that were retired, by their number."""
PAGE: Final = 200

Told = dict[str, int | str]


@final
class Retirement(msgspec.Struct, frozen=True, array_like=True):
    """The record of a handler that was retired: when (ms), and how many obligations were written off in all."""

    name: str
    at: int
    written_off: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Retirement).decode


async def retirements(reader: Reader) -> dict[int, Retirement]:
    """Every handler that was retired, by its number."""
    found: dict[int, Retirement] = {}
    after = -1
    while page := await reader.notes(RETIRED, after=after, limit=1000):
        found |= {note.number: _DECODE(note.body) for note in page}
        after = page[-1].number
    return found


async def manage(node: Node, action: str, handler: str, options: Mapping[str, int]) -> Told:
    """Replay or retire a handler; durable when this returns. Answers what was done, in figures.

    `replay` takes `after` (an event's number) or `since_ms`, `until` or `until_ms`, and `dry_run`; `retire` takes
    `dry_run`. Raises UsageError for anything else, and where it is refused.
    """
    last = node.numbers.next_n - 1  # what comes from here on may not be durable, and not be counted
    await node.settle_window()
    node.refuse_in_trouble()
    match action:
        case "replay":
            return await _replay(node, handler, options, last)
        case "retire":
            return await _retire(node, handler, dry_run=bool(options.get("dry_run")))
        case _:
            raise UsageError(f"there is no action {action}\n  why: it is none of replay, retire\n  to do: choose one")


# Replaying.


async def _replay(node: Node, handler: str, options: Mapping[str, int], last: int) -> Told:
    base = next((each for each in _declared(node) if each.name == handler), None)
    if base is None:
        known = ", ".join(sorted(each.name for each in _declared(node))) or "none"
        raise UsageError(
            f"there is no handler {handler} to replay\n  why: the app has {known}\n  to do: name one of them"
        )
    after, until = options.get("after", 0), options.get("until", last)
    if "since_ms" in options:
        after = await node.history.number_before(options["since_ms"])
    if "until_ms" in options:
        until = await node.history.number_before(options["until_ms"])
    until = min(until, last)
    count = len([event.n async for event in node.history.heard(base, after, until)])
    told: Told = {"handler": handler, "events": count, "after": after, "until": until}
    if count and not options.get("dry_run"):
        told["handler"] = (await node.history.replay(base, after, until)).name
    return told


_OWN: Final = (LATER, UNDO)


def _declared(node: Node) -> list[Reaction]:
    """The handlers of the app that run here: no replays, none of Onstage's own."""
    return [each for each in node.reactions.values() if not each.generation and each.name not in _OWN]


# Retiring.


async def _retire(node: Node, handler: str, *, dry_run: bool) -> Told:
    numbers = _numbers(node, handler)
    count = 0
    processes = set[int]()
    for number, name in numbers.items():
        written = await _count(node, name, processes) if dry_run else await _write_off(node, number, name, processes)
        count += written
    return {"handler": handler, "obligations": count, "processes": len(processes)}


def _numbers(node: Node, handler: str) -> dict[int, str]:
    """A gone handler and its replays, or all that a service had, by number.

    Raises UsageError if it is not gone, or never was.
    """
    declared = {each.name for each in node.manifest.handlers}
    if "." not in handler:
        return _numbers_of_service(node, handler, declared)
    if handler in declared:
        raise UsageError(
            f"handler {handler} cannot be retired\n  why: the app of this node declares it\n"
            "  to do: deploy the app without it first, or drop its dead letters with `onstage dead drop --handler`"
        )
    found = {number: name for number, name in node.handler_names.items() if handler in (name, name.rpartition("@")[0])}
    if handler not in found.values():
        raise _none_such(node, f"there is no handler {handler} to retire", declared)
    return found


def _none_such(node: Node, what: str, declared: set[str]) -> UsageError:
    names = [name for name in node.handler_names.values() if "@" not in name and name not in _OWN]
    gone = sorted(name for name in names if name not in declared)
    return UsageError(
        f"{what}\n  why: gone from the app are {', '.join(gone) or 'none'}\n"
        "  to do: name one of them, or a service of which all are gone; `onstage doctor` lists what they left open"
    )


def _numbers_of_service(node: Node, service: str, declared: set[str]) -> dict[int, str]:
    found = {number: name for number, name in node.handler_names.items() if name.partition(".")[0] == service}
    if found and declared.isdisjoint(name.rpartition("@")[0] or name for name in found.values()):
        return found
    if not found:
        raise _none_such(node, f"there is no service {service} to retire", declared)
    raise UsageError(
        f"service {service} cannot be retired\n  why: the app of this node declares it\n"
        "  to do: name a service that is gone as a whole, or one gone handler as SERVICE.HANDLER"
    )


async def _count(node: Node, name: str, processes: set[int]) -> int:
    count, after = 0, 0
    while page := await node.store.reader.executions(handler=name, after=after, limit=PAGE):
        count, after = count + len(page), page[-1].id
        processes |= {view.process for view in page}
    return count


async def _write_off(node: Node, number: int, name: str, processes: set[int]) -> int:
    """Settle everything open of one number, then keep the record; a crash in between leaves the rest to the next."""
    was, answers = await _last_declared(node.store.reader, name)
    count, before = 0, set[int]()
    while page := await node.store.reader.executions(handler=name, limit=PAGE):
        positions, ids = list[int](), {view.id for view in page}
        for view in page:
            stored = await node.store.reader.execution(view.id)
            assert stored is not None, "its row was just read"
            positions.append(node.append(*await _written_off(node, stored, was, answers)))
            processes.add(view.process)
            node.watch.reopened(view.process)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()
        count, before = count + await _accepted(node, positions, is_again=ids == before), ids
    await node.settle_window()
    earlier = (await retirements(node.store.reader)).get(number)
    written = count + (0 if earlier is None else earlier.written_off)
    record = Note(RETIRED, number, _ENCODE(Retirement(name, node.clock.now_ms(), written)))
    await _durable(node, node.append_notes(Notes((record,))))
    return count


async def _accepted(node: Node, positions: list[int], *, is_again: bool) -> int:
    """How many of these were written. Another write-off, still on its way, may have been first: look again then."""
    count = 0
    for end in await asyncio.gather(*map(node.store.durable, positions), return_exceptions=True):
        if isinstance(end, Refused) and (is_again or end.refusal.because != RefusedBecause.CONFLICT):
            raise _not_written(end) from end
        if isinstance(end, BaseException) and not isinstance(end, Refused):
            raise end
        count += not isinstance(end, Refused)
    return count


async def _durable(node: Node, position: int) -> None:
    try:
        await node.store.durable(position)
    except Refused as refused:
        raise _not_written(refused) from refused


def _not_written(refused: Refused) -> UsageError:
    return UsageError(
        "the write-off was refused by the store\n"
        f"  why: {refused.refusal.because}\n  to do: repeat it, what was written off before stays so"
    )


async def _written_off(
    node: Node, stored: Stored, was: tuple[str, ...], answers: str | None
) -> tuple[Commit, Emission | None]:
    """The commit that writes one execution off; whoever asked it learns that it will never be answered."""
    view = stored.execution
    status = lifecycle.advance(Status(view.status), Input.RETIRE)
    signed = await _signed(node, stored.event, view.id, view.handler, was)
    emission = None
    if answers is not None and view.gating and "@" not in view.handler:
        place, names = (view.process, stored.event.n), node.names_of(stored.event)
        emission = write_off_said(node, answers, (handler_of(view.id), view.handler), place, names)
    error = view.error or "its handler was retired"
    return commit_of(node, stored, status, error=error, signed=signed, emission=emission), emission


async def _last_declared(reader: Reader, name: str) -> tuple[tuple[str, ...], str | None]:
    """The earlier names of a handler and the request that it answers, as the last declaration says that has it."""
    was: tuple[str, ...] = ()
    answers: str | None = None
    epoch = 1
    while stored := await reader.manifest(epoch):
        found = next((each for each in from_stored(stored).handlers if each.name == name), None)
        if found is not None:
            was, answers = found.was, found.answers
        epoch += 1
    return was, answers


async def _signed(node: Node, event: EventView, execution: int, name: str, was: tuple[str, ...]) -> str | None:
    """The name under which a gone handler was obliged, None if it is the one it has."""
    course = node.history.courses.get(handler_of(execution))
    if course is not None and event.n <= course.until:
        return course.name
    known = await node.recovery.handlers_of(event.topology)
    return None if name in known else next((former for former in was if former in known), None)

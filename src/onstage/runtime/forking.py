"""Forking: a new execution of a workflow that takes over the journal of another one up to a call (`core/fork.py`).

The start, its obligation and the journal that was taken over are one commit, so a fork is there wholly or not at all.
A note under the original's number says so: whoever retries or cancels the original afterwards is refused, since that
would do the rest twice, or undo what the fork relies on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core.commit import Note, Notes, execution_id
from onstage.core.fork import FORKED, forks_in, taken_over
from onstage.core.journal import Forked
from onstage.errors import KeyMissing, UsageError
from onstage.events.receipt import Status
from onstage.runtime.admission import start_door
from onstage.runtime.emission import Emission
from onstage.runtime.wire import version_of

if TYPE_CHECKING:
    from onstage.core.commit import Door
    from onstage.ports.store import Reader, Stored
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.emission import Route
    from onstage.runtime.node import Node

__all__ = ["fork", "forks_of", "refuse_if_any_forked", "refuse_if_forked"]

FORKS_MAX: Final = 100
"""So many forks are made of one execution at most."""
PAGE: Final = 1000
_STUCK: Final = (Status.PARKED, Status.DIVERGED)


async def fork(node: Node, event: int, step: str, id: str | None) -> str:
    """Fork the workflow that was started by event number `event`; durable when this returns.

    Answers the public id of the fork. Raises UsageError, LookupError for an event that started no workflow here.
    """
    node.refuse_in_trouble()
    reaction, route, stored = await _original(node, event)
    names = node.names_of(stored.event)
    origin = f"{names[1] if names else node.numbers.identity.wire(event)}/{reaction.name}"
    door = None if id is None else _door_of(route, reaction, id, stored, step)
    if door is not None and id is not None:
        earlier = await node.admission.seen(door, id)
        if earlier is not None:
            return node.numbers.identity.wire(earlier)
    _refuse_if_open(stored)
    if stored.unreadable is not None:
        raise KeyMissing(stored.unreadable)
    cut, copied = taken_over(stored.entries, step)
    _, data, _ = node.admission.check(route.type.name, stored.event.data, version_of(stored.event))
    earlier_forks = await forks_of(node.store.reader, stored.execution.id)
    if len(earlier_forks) >= FORKS_MAX:
        raise UsageError(
            f"{origin} was forked {FORKS_MAX} times\n  why: so many forks are kept of one execution\n"
            "  to do: fork one of its forks, or restart it"
        )
    if door is not None and id is not None and (known := await node.admission.seen(door, id)) is not None:
        return node.numbers.identity.wire(known)
    emission = Emission(node.numbers)
    n = emission.emit(route, data, stored.event.key, now_ms=node.clock.now_ms())
    wire = node.numbers.identity.wire(n)
    for delivery in emission.deliveries:
        delivery.resumed, delivery.data = True, None
    if door is not None:
        door.n = n
    note = Note(FORKED, stored.execution.id, msgspec.msgpack.encode([*earlier_forks, wire]))
    commit = emission.commit(node.epoch, door=door, notes=Notes([note]))
    commit.copied = (*copied, Forked("fork", origin, cut))
    position = node.append(commit, emission)
    if door is not None:
        node.admission.took(door, position)
    node.dispatcher.wake()
    node.dispatcher.flush_soon()
    await node.store.durable(position)
    return wire


async def _original(node: Node, event: int) -> tuple[Reaction, Route, Stored]:
    await node.settle_window()
    found = await node.store.reader.event(event)
    route = None if found is None else node.routes.get(found.type)
    for reaction in route.triggers if route is not None else ():
        if reaction.responding is None or not reaction.responding.is_workflow:
            raise UsageError(
                f"{reaction.name} cannot be forked\n  why: it is no workflow: others may handle its event too\n"
                "  to do: retry it with `onstage dead retry`, or emit its event again"
            )
        stored = await node.store.reader.execution(execution_id(event, reaction.number))
        if route is not None and stored is not None:
            return reaction, route, stored
    raise LookupError(f"event {event} started no workflow that runs on this store")


def _refuse_if_open(stored: Stored) -> None:
    status = Status(stored.execution.status)
    if status.is_open and status not in _STUCK:
        raise UsageError(
            f"{stored.execution.handler} is {status.label}\n"
            "  why: it may still go on, and would do what its fork does\n"
            "  to do: cancel it, or wait until it has ended or is set aside"
        )


def _door_of(route: Route, reaction: Reaction, id: str, stored: Stored, step: str) -> Door:
    """Another original, step or input under the same id is another payload, and so is a start."""
    own = blake2b(f"{stored.execution.id}\0{step}".encode(), digest_size=16).digest()
    return start_door(reaction.name, id, f"{route.type.name} forked", own)


async def forks_of(reader: Reader, execution: int) -> list[str]:
    """The public ids of the forks of an execution, the oldest first."""
    found = await reader.notes(FORKED, after=execution - 1, limit=1)
    return forks_in(found[0].body) if found and found[0].number == execution else []


async def refuse_if_forked(node: Node, execution: int, done: str) -> None:
    """Refuse to let an execution go on, or undo, that a fork goes on from. Raises UsageError."""
    forks = await forks_of(node.store.reader, execution)
    if forks:
        raise UsageError(
            f"execution {execution} cannot be {done}\n"
            f"  why: {forks[-1]} was forked from it, and relies on what it did\n"
            f"  to do: let that one do the rest, and drop this one with `onstage dead drop {execution}`"
        )


async def refuse_if_any_forked(node: Node, process: int) -> None:
    """Refuse to undo a process of which an execution was forked: both have done the same. Raises UsageError."""
    after = -1
    while page := await node.store.reader.notes(FORKED, after=after, limit=PAGE):
        for note in page:
            stored = await node.store.reader.execution(note.number)
            if stored is not None and stored.execution.process == process:
                await refuse_if_forked(node, note.number, "undone with its process")
        after = page[-1].number

"""What must hold in a world that has come to rest, by the number of the invariant.

The checks are those of `onstage.testing.checks`; here they are given what this world's clients, steps and handlers
know. None asks the engine, but for the ones of memory, of replay and of verdicts, which are about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.core.commit import event_of, execution_id
from onstage.events.delayed import LATER, decode_delayed
from onstage.events.receipt import Status
from onstage.runtime.local_ways import LocalWays
from onstage.testing.checks.accounts import wrong_outcomes
from onstage.testing.checks.acknowledgements import at_the_door, identity_of, lost
from onstage.testing.checks.effect_counts import not_once
from onstage.testing.checks.lane_order import out_of_order
from onstage.testing.checks.no_loss import not_delivered, not_ended
from onstage.testing.checks.standing import unsound
from onstage.testing.checks.step_calls import changed_keys, never_happened, shared_keys, taken_from
from onstage.testing.checks.timer_ends import never_over
from onstage.testing.checks.told_verdicts import FINAL, truths
from onstage.testing.world.ceilings import check_memory
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.replays import check_replays

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.outside import Call
    from onstage.testing.world.world_run import World

__all__ = ["check_at_rest"]

EFFECTS: Final[dict[str, Sequence[str]]] = {
    "road.left": ["left"], "road.swallow": ["swallow"], "shop.note": ["note"], "shop.tell": ["tell"],
    "shop.order": ["order"], "rail.block": ["block"], "rail.park": ["park"], "rail.until_wait": ["before", "after"],
    "rail.nap": ["nap"], "road.travel": ["travel"],
}  # fmt: skip
"""Which rows of the ledger of effects a finished execution of each handler has left."""

AFTER_ITS_WAIT: Final = ("rail.until_wait", "after")
"""An effect that promises no order: its lane is open by then."""

PARKS: Final = "rail.park"
"""A handler whose dead letters leave their lane: what was never set aside keeps its order all the same."""

STEPS_IN_ORDER: Final = {"rail.block", "rail.park", "road.travel", "shop.order"}


def check_at_rest(world: World) -> None:
    """Look at everything once. What does not hold is complained of at the onlooker."""
    onlooker = world.onlooker
    file = world.stored
    world.events = len(file.events)
    decisive = {process.name: process.outcomes for process in world.life.node.processes}
    routes = world.life.node.routes
    subscribed = {name: [reaction.number for reaction in route.triggers] for name, route in routes.items()}
    waiting = {name: [reaction.number for reaction in route.waiters] for name, route in routes.items()}
    counted = frozenset[str]().union(*(play.counted for play in world.plays))
    calls = OUTSIDE.calls
    if delayed := next((number for number, name in file.handlers.items() if name == LATER), 0):
        subscribed[LATER] = [delayed]
    found = (
        *unsound(file),
        *(("I1", what) for what in not_delivered(file, subscribed, waiting, counted)),
        *(("I1", what) for what in not_ended(file, onlooker.dropped | onlooker.aside)),
        *(("I2", what) for what in _effects_once(world, file)),
        *(("I3", what) for what in never_happened(file, {(c.execution, c.position) for c in calls if c.is_effect})),
        *(("I3", what) for what in changed_keys(((c.execution, c.position), c.key) for c in calls)),
        *(("I3", what) for what in shared_keys((c.execution, c.key) for c in calls if not _is_a_forks(file, c))),
        *(("I4", what) for what in out_of_order(_effects_in_lanes(world, file))),
        *(("I4", what) for what in out_of_order(_steps_in_lanes(world, file))),
        *(("I8", what) for what in never_over(file)),
        *(("I10", what) for what in lost(file, ((i, *told) for i, told in onlooker.acknowledged.items()))),
        *(("I10", what) for what in _as_sent(world, file)),
        *(("I12", what) for what in wrong_outcomes(file, decisive, _made(world))),
        *(what for play in world.plays for what in play.check(file, onlooker)),
    )
    for invariant, what in found:
        onlooker.complain(invariant, what)
    _mark(world, file)
    if not onlooker.violations:  # on a ledger that does not add up a verdict may never come
        world.life.loop.run_until_complete(_verdicts(world))
    check_replays(world, file)
    check_memory(world)


def _made(world: World) -> frozenset[str]:
    """The types of events that the engine itself emits in these plays."""
    return frozenset[str]().union(*(play.made for play in world.plays))


def _is_a_forks(file: StoredFile, call: Call) -> bool:
    """Whether a fork undoes what it took over: under the key of whoever did it, which the play of forks looks at."""
    entries = file.journals.get(call.execution, [])
    position = call.position.removeprefix("undo/")
    return position != call.position and taken_from(entries, position) is not None


def _mark(world: World, file: StoredFile) -> None:
    world.onlooker.marks.update(mark for play in world.plays for mark in play.seen(file))
    if any(row.status == Status.REJECTED for row in file.executions.values()):
        world.onlooker.marks.add("an execution was rejected")
    effects = [(call.execution, call.position) for call in OUTSIDE.calls if call.is_effect]
    if len(set(effects)) < len(effects):
        world.onlooker.marks.add("a step was called again, its effect had happened")


def _effects_once(world: World, file: StoredFile) -> Iterator[str]:
    """I2: a finished execution has left each of its effects once, an unfinished one at most once."""
    wires = {n: wire for wire, n in file.wires.items()}
    effects = EFFECTS | {handler: places for play in world.plays for handler, places in play.effects.items()}
    owed = [
        (wires[event_of(execution)], handler, place)
        for execution, row in file.executions.items()
        if row.status == Status.DONE and event_of(execution) in wires
        for handler in (file.handler_of(execution),)
        for place in effects.get(handler, ())
    ]
    return not_once(file.rows("select event, handler, place from effect"), owed)


def _effects_in_lanes(world: World, file: StoredFile) -> Iterator[tuple[tuple[str, str], int]]:
    """I4: each row of the ledger of effects, in the order in which it was written, and the lane it was written in."""
    numbers = {name: number for number, name in file.handlers.items()}
    for event, handler, place in file.rows("select event, handler, place from effect order by id"):
        n = file.wires.get(event, 0)
        key = file.events[n].key if n else None
        if key is None or (handler, place) == AFTER_ITS_WAIT or any(handler in play.unordered for play in world.plays):
            continue
        if handler == PARKS and execution_id(n, numbers[handler]) in world.onlooker.aside:
            continue
        yield (handler, key), n


def _steps_in_lanes(world: World, file: StoredFile) -> Iterator[tuple[tuple[str, str], int]]:
    """I4: the first effect outside of each execution."""
    seen = set[int]()
    for call in OUTSIDE.calls:
        event = file.events.get(event_of(call.execution))
        if not call.is_effect or call.execution in seen or event is None or event.key is None:
            continue
        seen.add(call.execution)
        handler = file.handler_of(call.execution)
        if handler in STEPS_IN_ORDER and not (handler == PARKS and call.execution in world.onlooker.aside):
            yield (handler, event.key), event_of(call.execution)


def _as_sent(world: World, file: StoredFile) -> Iterator[str]:
    """I10: what is stored under an id is the payload of a client that was told so, and nothing else came in."""
    stored = at_the_door(file.rows)
    for emit in world.clients.emits:
        n = stored.get(identity_of(emit.id), 0)
        data = file.payloads[n] if n else b""
        if not n or n in world.onlooker.poisoned or (emit.is_gone and emit.accepted is None):
            continue
        if emit.when is not None and n and file.events[n].type == LATER:
            data = bytes(decode_delayed(data).data)
        if (emit.data == data) != (emit.refused is None):
            yield f"{emit.id} was {emit.refused or 'accepted'}, and is stored as {data[:80]!r}"
    outside = sum(not event.cause and event.type not in _made(world) for event in file.events.values())
    if outside != len(stored):
        yield f"{outside} events came from outside, under {len(stored)} ids"


async def _verdicts(world: World) -> None:
    """I7: at rest every process has a final verdict, the true one."""
    ways = LocalWays(world.life.node)
    for (process,) in world.onlooker.rows("select wire_id from onstage_process"):
        status = (await ways.verdict(process, 0.0)).status
        true = truths(world.onlooker.rows, process)
        if status not in true & FINAL:
            world.onlooker.complain("I7", f"at rest process {process} is {sorted(true)}, and was said to be {status}")

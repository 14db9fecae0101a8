"""The end of a tour: faults have stopped, everything has to come to an end in time, and every check to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from onstage.core.identity import number_in
from onstage.events.receipt import Status
from onstage.testing.checks.across_stores import differing, known_twice, not_arrived, out_of_balance, unknown_to
from onstage.testing.checks.effect_counts import not_once
from onstage.testing.checks.lane_order import out_of_order
from onstage.testing.checks.standing import unsound
from onstage.testing.checks.stored_part import StoredPart
from onstage.testing.tour.alone import played_alone
from onstage.testing.tour.mishap import LOG_LOSSES, REORDERS, Mishap
from onstage.testing.tour.repertory import OBSERVER, SERVICES, Booked
from onstage.testing.tour.tour_world import gates
from onstage.testing.world.clients import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.tour.tour_world import TourWorld

__all__ = ["check_rest", "come_to_rest"]

LOOK_S: Final = 5.0
REST_S_MAX: Final = 400.0
"""So long at most a tour takes to come to rest."""

PLACES: Final = {
    "shop.order": "order", "post.pack": "pack", "bank.weigh": "weigh", "bank.bill": "bill", "shop.echo": "echo",
    "post.hear": "hear", "bank.count": "count", "audit.watch": "watch", "audit.note": "note", "bank.file_note": "file",
}  # fmt: skip
"""The row of the ledger of effects that a finished execution of each handler has left."""


def come_to_rest(world: TourWorld) -> None:
    """Run until nothing is open or on its way."""
    world.grow_calm()
    give_up_s = world.now_s + REST_S_MAX
    while world.now_s < give_up_s:
        world.run_to(world.now_s + LOOK_S)
        if _rests(world):
            world.run_to(world.now_s + 2 * LOOK_S)  # what would now still come must be a repetition
            return
    world.record.complain("liveness", f"no rest after {REST_S_MAX:.0f} s: {_restless(world)}")


def _rests(world: TourWorld) -> bool:
    if not world.senders.are_done or len(world.members) <= len(SERVICES):
        return False
    if not all(member.is_quiet for member in world.members.values()):
        return False
    own = 0
    for service in SERVICES:
        (is_open,), (events,) = (world.rows(service, sql)[0] for sql in (_OPEN, _OWN))
        own += events
        if is_open:
            return False
    (there,) = world.rows(OBSERVER, "select count(*) from onstage_event")[0]
    unsettled = world.rows(OBSERVER, "select 1 from onstage_process where open > 0 or digest <> zeroblob(16)")
    return there == own and not unsettled


_OPEN: Final = "select count(*) from onstage_execution where status < 6"
_OWN: Final = "select count(*) from onstage_event where extra is null or json_extract(extra, '$.wire') is null"


def _restless(world: TourWorld) -> str:
    waiting = [send.id for send in world.senders.sends if not send.is_over]
    is_open = {service: world.rows(service, _OPEN) for service in SERVICES}
    there = world.rows(OBSERVER, "select count(*) from onstage_event")
    own = [world.rows(service, _OWN) for service in SERVICES]
    unsettled = world.rows(
        OBSERVER, "select wire_id, open from onstage_process where open > 0 or digest <> zeroblob(16)"
    )
    up = [name for name, member in world.members.items() if member.is_up]
    return f"{waiting} wait, open {is_open}, observer {there} of {own}, unsettled {unsettled[:3]}, up {up}"


def check_rest(world: TourWorld) -> None:
    """Look at everything once. What does not hold is complained of."""
    parts = {service: StoredPart(world.reader_of(service)) for service in SERVICES}
    watching = StoredPart(world.reader_of(OBSERVER))
    found = (
        *(("I1", what) for what in not_arrived(parts, gates(gating_only=False))),
        *(("I1", what) for what in _accepted(world, parts)),
        *(("I2", what) for part in parts.values() for what in _effects_once(part)),
        *(("I4", what) for part in parts.values() for what in out_of_order(_lanes(world, part))),
        *(("twice", what) for part in (*parts.values(), watching) for what in known_twice(part)),
        *(("balance", what) for what in out_of_balance(parts, watching)),
        *(("observer", what) for what in unknown_to(watching, parts)),
        *(said for part in parts.values() for said in unsound(part.file, partial=True)),
        *unsound(watching.file),
    )
    for invariant, what in found:
        world.record.complain(invariant, what)
    if world.record.violations:
        return  # what follows is derived from that
    _verdicts(world)
    _alone(world)
    _from_zero(world, watching)
    _marks(world)


def _accepted(world: TourWorld, parts: dict[str, StoredPart]) -> Iterator[str]:
    doors = {service: {i for (i,) in part.rows("select identity from onstage_door")} for service, part in parts.items()}
    for send in world.senders.sends:
        if not send.told:
            continue
        at = [service for service in SERVICES if identity_of(send.id) in doors[service]]
        if len(at) != 1:
            yield f"{send.id} was accepted at {send.at}, and is at {at}"


def _effects_once(part: StoredPart) -> Iterator[str]:
    owed = [
        (wire, handler, PLACES[handler])
        for (wire, handler), status in part.executions.items()
        if status == Status.DONE and handler in PLACES
    ]
    return not_once(part.rows("select event, handler, place from effect"), owed)


def _lanes(world: TourWorld, part: StoredPart) -> Iterator[tuple[Any, int]]:
    """Each effect in the order in which it was written, and its lane: handler, key and producer, or one type of these."""
    by_type = any(world.swarm.counts[fault] for fault in REORDERS)
    for wire, handler in part.rows("select event, handler from effect order by id"):
        event, n = part.events[wire], number_in(wire)
        lane = (handler, event.key, wire.split("-")[0], event.type if by_type else "")
        yield lane, n or 0


def _verdicts(world: TourWorld) -> None:
    """What every client was told leads to its process, whose verdict is final."""
    member = world.members[OBSERVER]
    for send in world.senders.sends:
        said = set()
        for told in send.told:
            assert member.observatory is not None, "it is the observer"
            task = member.loop.create_task(member.observatory.verdict(told, 0.0))
            world.run_to(world.now_s)
            said.add(str(task.result()))
            if task.result() is None or not task.result().is_final:
                world.record.complain("verdict", f"{send.id}, known as {told}, is {task.result()}")
        if len(said) > 1:
            world.record.complain("verdict", f"{send.id} is {sorted(said)}, depending on who says it")


def _alone(world: TourWorld) -> None:
    """Played on one node the same orders come to the same ends."""
    sends = [send.event for send in world.senders.sends if isinstance(send.event, Booked) and send.event.n % 3 != 1]
    sql = (
        "select p.outcome, e.data from onstage_process p join onstage_event e on e.n = p.id where p.declared = 'order'"
    )
    here = {data: outcome for outcome, data in world.rows(OBSERVER, sql)}
    for data, outcome in played_alone(world.tape.seed, sends, world.path("alone")).items():
        if here.get(data) != outcome:
            world.record.complain("alone", f"{data!r} comes to {outcome} on one node, and to {here.get(data)}")


def _from_zero(world: TourWorld, watching: StoredPart) -> None:
    """Another observer that reads the same log from its beginning has the same rows."""
    before = watching.public_rows
    world.new_observer()
    for _ in range(20):
        world.run_to(world.now_s + LOOK_S)
        if _rests(world):
            break
    for what in differing(before, StoredPart(world.reader_of(OBSERVER)).public_rows):
        world.record.complain("from zero", what)


def _marks(world: TourWorld) -> None:
    counts, marks = world.swarm.counts, world.record.marks
    if world.republished and any(counts[fault] for fault in LOG_LOSSES):
        marks.add("what the log lost was published again")
    if world.gaps:
        marks.add("a gap in the log was noticed")
    if any(counts[fault] for fault in (Mishap.OBSERVER_KILLED, Mishap.OBSERVER_ANEW)):
        marks.add("the observer went on, or began anew")

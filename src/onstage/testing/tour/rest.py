"""The end of a tour: faults have stopped, everything has to come to an end in time, and every check to hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from onstage.core.identity import number_in
from onstage.events.receipt import Status
from onstage.runtime.hopeless_apart import IN_VAIN
from onstage.runtime.tidings import MONITOR_SOURCE
from onstage.testing.checks.acknowledgements import identity_of
from onstage.testing.checks.across_stores import differing, known_twice, not_arrived, out_of_balance, unknown_to
from onstage.testing.checks.effect_counts import not_once
from onstage.testing.checks.lane_order import out_of_order
from onstage.testing.checks.standing import unsound
from onstage.testing.checks.stored_part import StoredPart
from onstage.testing.tour.alone import played_alone
from onstage.testing.tour.commissions import COMMISSION_PLACES
from onstage.testing.tour.mishap import LOG_LOSSES, REORDERS, Mishap
from onstage.testing.tour.repertory import OBSERVER, SERVICES, Booked
from onstage.testing.tour.tour_world import gates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.tour.tour_world import TourWorld

__all__ = ["MARKS_ON_TOUR", "check_rest", "come_to_rest"]

LOOK_S: Final = 5.0
FORGET_S: Final = 30.0
REST_S_MAX: Final = 400.0
"""So long at most a tour takes to come to rest."""

MARKS_ON_TOUR: Final = (
    "what the log lost was published again",
    "a reader noticed a gap",
    "a reader asked for what it lacked",
    "the observer noticed a gap in receipts",
    "an event that came again was dropped",
    "the observer went on",
    "the observer began anew",
    "the registry was lost",
    "an event was sent on to its owner",
    "an order went well",
    "an order was cancelled",
    "a client's answer was lost with the node",
    "a change of verdict was told again",
    "a wait in vain was ended",
)
"""Rare situations of which a run of many tours has to see each one."""

PLACES: Final = {
    "shop.order": "order", "post.pack": "pack", "bank.weigh": "weigh", "bank.bill": "bill", "shop.echo": "echo",
    "post.hear": "hear", "bank.count": "count", "audit.watch": "watch", "audit.note": "note", "bank.file_note": "file",
    "audit.heed": "heed", "audit.hope": "hope",
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
    if not (world.senders.are_done and world.commissions.are_done) or len(world.members) <= len(SERVICES):
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
    untold = world.rows(OBSERVER, "select 1 from onstage_note where topic = 'tiding'")
    return there == own and not unsettled and not untold


_OPEN: Final = "select count(*) from onstage_execution where status < 6"
_OWN: Final = "select count(*) from onstage_event where extra is null or json_extract(extra, '$.wire') is null"


def _restless(world: TourWorld) -> str:
    waiting = [send.id for send in world.senders.sends if not send.is_over]
    waiting += [f"{each.type} {each.n}" for each in world.commissions.asked if not each.is_over]
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
        *(("I1", what) for what in not_arrived(parts, gates(gating_only=False, app=world.app))),
        *(("commission", each.complaint) for each in world.commissions.asked if each.complaint),
        *(("I1", what) for what in _accepted(world, parts)),
        *(("I2", what) for part in parts.values() for what in _effects_once(part)),
        *(("I4", what) for part in parts.values() for what in out_of_order(_lanes(world, part))),
        *(("twice", what) for part in (*parts.values(), watching) for what in known_twice(part)),
        *(("balance", what) for what in out_of_balance(parts, watching)),
        *(("observer", what) for what in unknown_to(watching, parts)),
        *(("told", what) for what in _told_once(world, parts)),
        *(said for part in parts.values() for said in unsound(part.file, partial=True)),
        *unsound(watching.file),
    )
    for invariant, what in found:
        world.record.complain(invariant, what)
    if world.record.violations:
        return  # what follows is derived from that
    _forgotten(world)
    _verdicts(world)
    _alone(world)
    _from_zero(world, watching)
    for what in _told_once(world, parts):
        world.record.complain("told", f"by an observer that began anew: {what}")
    _marks(world)


def _accepted(world: TourWorld, parts: dict[str, StoredPart]) -> Iterator[str]:
    doors = {service: {i for (i,) in part.rows("select identity from onstage_door")} for service, part in parts.items()}
    for send in world.senders.sends:
        if not send.told:
            continue
        at = [service for service in SERVICES if identity_of(send.id) in doors[service]]
        if len(at) != 1:
            yield f"{send.id} was accepted at {send.at}, and is at {at}"


def _told_once(world: TourWorld, parts: dict[str, StoredPart]) -> Iterator[str]:
    """Who hears of changes is told of the end of each order, and of none twice, whoever watched."""
    told = Counter(name for part in parts.values() for (name,) in part.rows(_TOLD))
    ended = world.rows(OBSERVER, "select wire_id from onstage_process where declared = 'order' and outcome is not null")
    known = {name.rpartition("/")[0] for name in told}
    yield from (f"{wire} is completed, and nobody was told" for (wire,) in ended if f"{wire}/completed" not in known)
    yield from (f"{name} was told {times} times" for name, times in told.items() if times > 1)


_TOLD: Final = (
    "select json_extract(extra, '$.id') from onstage_event"
    " where json_extract(extra, '$.wire') is null and json_extract(extra, '$.source') = '//onstage/monitor'"
)


def _effects_once(part: StoredPart) -> Iterator[str]:
    places = PLACES | COMMISSION_PLACES
    owed = [
        (wire, handler, places[handler])
        for (wire, handler), status in part.executions.items()
        if status == Status.DONE and handler in places
    ]
    return not_once(part.rows("select event, handler, place from effect"), owed)


def _lanes(world: TourWorld, part: StoredPart) -> Iterator[tuple[Any, int]]:
    """Each effect in the order in which it was written, and its lane: handler, key and producer, or one type."""
    by_type = any(world.swarm.counts[fault] for fault in REORDERS)
    for wire, handler in part.rows("select event, handler from effect order by id"):
        event, n = part.events[wire], number_in(wire)
        if event.key is None:
            continue  # such events have no order
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


def _forgotten(world: TourWorld) -> None:
    """I15: an owner knows after a while that its processes have ended, and joins nothing to them any more."""
    world.run_to(world.now_s + FORGET_S)
    for service in SERVICES:
        node: Any = world.members[service].node
        left = {**node.admission._open, **node.admission._names}  # noqa: SLF001  what memory holds is asked of memory
        if left or world.rows(service, "select 1 from onstage_note where topic = 'joinable'"):
            world.record.complain("I15", f"{service} still has open processes: {left}")


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


def _controls(world: TourWorld) -> Iterator[dict[str, str]]:
    """The headers of what stands in the log for one service."""
    for seq in range(1, world.log.last + 1):
        message = world.log.at(seq)
        if message is not None and message.subject.startswith("ctl."):
            yield message.headers


def _tidings_sent(world: TourWorld) -> Counter[str]:
    return Counter(each["ce-id"] for each in _controls(world) if each.get("ce-source") == MONITOR_SOURCE)


def _marks(world: TourWorld) -> None:
    counts, marks, tallies = world.swarm.counts, world.record.marks, world.tallies
    world.tally()
    told = [told for send in world.senders.sends for told in send.told]
    sql = "select 1 from onstage_process where declared = 'order' and outcome = ?"
    held = {
        "what the log lost was published again": tallies["republished"] and counts.keys() & LOG_LOSSES,
        "a reader noticed a gap": tallies["gaps"],
        "a reader asked for what it lacked": tallies["asked"],
        "the observer noticed a gap in receipts": tallies["observer gaps"],
        "an event that came again was dropped": tallies["repeated"],
        "the observer went on": counts[Mishap.OBSERVER_KILLED],
        "the observer began anew": counts[Mishap.OBSERVER_ANEW],
        "the registry was lost": counts[Mishap.REGISTRY_LOST],
        "an event was sent on to its owner": any("-" not in name for name in told),
        "an order went well": world.rows(OBSERVER, sql, "tour.shipped"),
        "an order was cancelled": world.rows(OBSERVER, sql, "tour.cancelled"),
        "a change of verdict was told again": any(times > 1 for times in _tidings_sent(world).values()),
        "a wait in vain was ended": any(IN_VAIN in headers for headers in _controls(world)),
    }
    marks.update(mark for mark, seen in held.items() if seen)

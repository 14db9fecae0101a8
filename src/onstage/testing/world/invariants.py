"""What must hold in a world that has come to rest, by the number of the invariant.

Each check reads the file, the ledger of effects and the records of the world; none asks the engine, but for the ones
of memory and of replay, which are about it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from onstage.core.journal import Stepped, Transacted, Undone, decode_entry, is_final
from onstage.events.receipt import OPEN_MAX, Status, decode_receipts
from onstage.observe.ledger import Ledger
from onstage.testing.world.ceilings import check_memory
from onstage.testing.world.clients import identity_of
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.replays import check_replays

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.testing.world.observer import Observer
    from onstage.testing.world.world_run import World

__all__ = ["check_at_rest"]

RECEIPTS: Final = "select epoch, shard, seq, body from onstage_receipt order by position"
EFFECTS: Final = {
    "road.left": ["left"], "road.swallow": ["swallow"], "shop.note": ["note"], "shop.tell": ["tell"],
    "shop.order": ["order"], "rail.block": ["block"], "rail.park": ["park"], "rail.until_wait": ["before", "after"],
    "rail.nap": ["nap"], "road.travel": ["travel"],
}  # fmt: skip
"""Which rows of the ledger of effects a finished execution of each handler has left."""

ORDERED: Final = {"rail.block": "block", "rail.until_wait": "before"}
"""Handlers whose lanes never open out of order, and the effect that shows their order."""


def check_at_rest(world: World) -> None:
    """Look at everything once. What does not hold is complained of at the observer."""
    observer = world.observer
    journals = _journals(observer)
    world.events = observer.rows("select count(*) from onstage_event")[0][0]
    _no_loss(world)
    _effects_once(observer)
    _steps(observer, journals)
    _order(observer)
    _causes(observer)
    _epochs(observer)
    _acknowledged(world)
    _accounts(observer)
    _undone(observer, journals)
    check_replays(world, journals)
    check_memory(world)


def _journals(observer: Observer) -> dict[int, list[Entry]]:
    found: defaultdict[int, list[Entry]] = defaultdict(list)
    for execution, place, body in observer.rows("select * from onstage_entry order by execution, place"):
        if place != len(found[execution]):
            observer.complain("I13", f"the journal of execution {execution} has a gap before {place}")
        found[execution].append(decode_entry(body))
    return found


def _no_loss(world: World) -> None:
    """I1: each stored event ends, at each subscribed handler, as done, rejected or dropped by an operator."""
    observer = world.observer
    routes = world.life.node.routes
    owed = {
        n << 16 | reaction.number
        for n, name in observer.rows("select e.n, t.name from onstage_event e join onstage_type t on t.id = e.type")
        for reaction in routes[name].triggers
    }
    rows = dict(observer.rows("select id, status from onstage_execution"))
    if missing := sorted(owed - set(rows)):
        observer.complain("I1", f"obligations are missing: {missing[:3]}")
    if extra := sorted(set(rows) - owed):
        observer.complain("I1", f"executions without an obligation: {extra[:3]}")
    for execution, status in rows.items():
        if status <= OPEN_MAX:
            observer.complain("I1", f"execution {execution} is still {Status(status).label}")
        elif status == Status.DROPPED and execution not in observer.dropped and execution not in observer.aside:
            observer.complain("I1", f"execution {execution} was dropped, and nobody asked for it")
    for (status,) in observer.rows("select status from onstage_execution where status = ?", Status.REJECTED):
        observer.marks.add("an execution was rejected" if status else "")


def _effects_once(observer: Observer) -> None:
    """I2: a finished execution has left each of its effects once, an unfinished one at most once."""
    rows = observer.rows("select event, handler, place from effect")
    counts = Counter(rows)
    for (event, handler, place), count in counts.items():
        if count > 1:
            observer.complain("I2", f"{place} of {handler} for event {event} happened {count} times")
    wires = _wires(observer)
    statement = (
        "select x.id, h.name from onstage_execution x join onstage_handler h on h.id = x.id & 65535 where x.status = 6"
    )
    for execution, handler in observer.rows(statement):
        for place in EFFECTS.get(handler, ()):
            if not counts[wires(execution >> 16), handler, place]:
                observer.complain("I2", f"{handler} is done with event {execution >> 16}, without its effect {place}")


def _wires(observer: Observer) -> Any:
    from onstage.core.identity import Identity

    store = observer.rows("select value from onstage_meta where name = 'store'")[0][0]
    firsts = observer.rows("select first_n, name from onstage_incarnation order by epoch")
    return Identity(store, tuple(firsts)).wire


def _steps(observer: Observer, journals: dict[int, list[Entry]]) -> None:
    """I3: a recorded step had its effect at least once, always under the same key, which no other has."""
    happened = {(call.execution, call.position) for call in OUTSIDE.calls if call.is_effect}
    keys: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    owners: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    for call in OUTSIDE.calls:
        keys[call.execution, call.position].add(call.key)
        owners[call.key].add((call.execution, call.position))
    for execution, entries in journals.items():
        for entry in entries:
            if isinstance(entry, Stepped | Undone) and (execution, entry.position) not in happened:
                observer.complain("I3", f"{entry.position} of execution {execution} is recorded and never happened")
    for place, found in keys.items():
        if len(found) > 1:
            observer.complain("I3", f"{place} ran under several keys: {sorted(found)}")
    for key, places in owners.items():
        if len({execution for execution, _ in places}) > 1:
            observer.complain("I3", f"the key {key} was used by several: {sorted(places)}")
    calls = Counter((call.execution, call.position) for call in OUTSIDE.calls if call.is_effect)
    if any(count > 1 for count in calls.values()):
        observer.marks.add("a step was called again, its effect had happened")


def _order(observer: Observer) -> None:
    """I4: per handler and key, effects come in the order of the log."""
    numbers = {wire: (n, key) for n, wire, key in _named_events(observer)}
    last: dict[tuple[str, str | None], int] = {}
    for event, handler, place in observer.rows("select event, handler, place from effect order by id"):
        if ORDERED.get(handler) != place or event not in numbers:
            continue
        n, key = numbers[event]
        if last.get((handler, key), 0) > n:
            observer.complain("I4", f"{handler} took event {n} of {key} after {last[handler, key]}")
        last[handler, key] = n


def _named_events(observer: Observer) -> list[tuple[int, str, str | None]]:
    wire = _wires(observer)
    return [(n, wire(n), key) for n, key in observer.rows("select n, key from onstage_event")]


def _causes(observer: Observer) -> None:
    """I5: each event from inside has a cause that is stored, earlier, and says so."""
    events = {n: (cause, hlc) for n, cause, hlc in observer.rows("select n, cause, hlc from onstage_event")}
    executions = {execution for (execution,) in observer.rows("select id from onstage_execution")}
    for n, (cause, hlc) in events.items():
        if not cause:
            continue
        if cause not in executions or cause >> 16 not in events:
            observer.complain("I5", f"event {n} was caused by {cause}, which is not stored")
        elif cause >> 16 >= n or events[cause >> 16][1] >= hlc:
            observer.complain("I5", f"event {n} is not later than its cause {cause >> 16}")


def _epochs(observer: Observer) -> None:
    """I9: nothing of an earlier writer was written after something of a later one."""
    newest = 0
    for position, epoch in observer.rows("select position, epoch from onstage_receipt order by position"):
        if epoch < newest:
            observer.complain("I9", f"receipts {position} were written in epoch {epoch}, after {newest}")
        newest = max(newest, epoch)


def _acknowledged(world: World) -> None:
    """I10: what was acknowledged is stored, once, with the payload of a client that was told so."""
    observer = world.observer
    stored = {
        identity: (n, data)
        for identity, n, data in observer.rows(
            "select d.identity, d.n, e.data from onstage_door d join onstage_event e on e.n = d.n"
        )
    }
    wires = {wire: process for process, wire in observer.rows("select id, wire_id from onstage_process")}
    for identity, (process, what) in observer.acknowledged.items():
        if identity not in stored:
            observer.complain("I10", f"{what} was acknowledged and is lost")
        elif process not in wires:
            observer.complain("I10", f"{what} was acknowledged as part of {process}, which is lost")
    for emit in world.clients.emits:
        found = stored.get(identity_of(emit.id))
        if found is None or found[0] in observer.poisoned or (emit.is_gone and emit.accepted is None):
            continue
        same = emit.data == found[1]
        if same != (emit.refused is None):
            observer.complain("I10", f"{emit.id} was {emit.refused or 'accepted'}, and is stored as {found[1][:80]!r}")
    distinct = observer.rows("select count(*) from onstage_event where cause = 0")[0][0]
    if distinct != len(stored):
        observer.complain("I10", f"{distinct} events came from outside, under {len(stored)} ids")


def _accounts(observer: Observer) -> None:
    """I12: the ledger rebuilt from receipts is the ledger, receipts are dense, and each obligation is settled once."""
    ledger = Ledger()
    seqs: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    settled: Counter[int] = Counter()
    for epoch, shard, first, body in observer.rows(RECEIPTS):
        for seq, receipt in enumerate(decode_receipts(body), first):
            seqs[epoch, shard].append(seq)
            if not ledger.apply(epoch, shard, seq, receipt):
                observer.complain("I12", "a receipt stands there twice")
            if receipt.handler and Status.DONE <= receipt.status <= Status.DROPPED:
                settled[receipt.event << 16 | receipt.handler] += 1
    for place, found in seqs.items():
        if found != list(range(1, len(found) + 1)):
            observer.complain("I12", f"receipts of {place} are not dense: {found}")
    for process, digest, is_open in observer.rows("select id, digest, open from onstage_process"):
        if ledger.digests.get(process, 0) != int.from_bytes(digest, "big"):
            observer.complain("I12", f"process {process}: the ledger differs from its receipts")
        if (is_open == 0) != (not any(digest)):
            observer.complain("I12", f"process {process}: {is_open} open, digest {digest.hex()}")
    for execution, status in observer.rows("select id, status from onstage_execution"):
        if settled[execution] != (status > OPEN_MAX):
            observer.complain("I12", f"execution {execution} was settled {settled[execution]} times")
    counts = "select process, count(*) from onstage_execution where gating and status <= ? group by process"
    counted = dict(observer.rows(counts, OPEN_MAX))
    for process, is_open in observer.rows("select id, open from onstage_process"):
        if counted.get(process, 0) != is_open:
            observer.complain("I12", f"process {process}: {is_open} open, counted {counted.get(process, 0)}")


def _undone(observer: Observer, journals: dict[int, list[Entry]]) -> None:
    """I6, within one execution: a rejected one has undone each of its steps once, the last one first."""
    rejected = observer.rows("select id from onstage_execution where status = ?", Status.REJECTED)
    for (execution,) in rejected:
        entries = journals.get(execution, [])
        done = [entry.position for entry in entries if isinstance(entry, Stepped) and entry.undo]
        undone = [entry.position.removeprefix("undo/") for entry in entries if isinstance(entry, Undone)]
        if undone != done[::-1]:
            observer.complain("I6", f"execution {execution} did {done} and undid {undone}")
    for execution, entries in journals.items():
        ended = Counter(e.position for e in entries if is_final(e) and not isinstance(e, Transacted))
        if repeated := [position for position, count in ended.items() if count > 1]:
            observer.complain("I8", f"execution {execution} ended {repeated} more than once")

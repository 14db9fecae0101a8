"""What an observer makes of events that speak of undoing."""

import asyncio

from tests.unit.runtime.playhouse import Clock

from onstage.contracts.manifest import ProcessManifest
from onstage.contracts.topology import Topology
from onstage.core.commit import Commit, WaveRow
from onstage.core.undoing import UNDECIDED, decode_undoing
from onstage.events.envelope import Envelope
from onstage.events.undoing_told import UNDOING, UndoingTold, encode_told
from onstage.ports.store import Declaration, Opened
from onstage.runtime.observed_undoing import ObservedUndoing
from onstage.runtime.wire import FOLLOWS
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers

ORDER = ProcessManifest(name="order", starts=("placed",), done=("paid",), failed=("refused",), undo=True)
TOPOLOGY = Topology(processes=(ORDER, ProcessManifest(name="plain", starts=("x",), done=("y",), failed=("refused",))))


def outcome(wire: str, *, said: str | None = None) -> Envelope:
    extensions = {FOLLOWS: wire if said is None else said}
    return Envelope(id=wire, source="s", type="refused", correlationid="p", hlc=5 << 16, extensions=extensions)


def telling(state: str) -> Envelope:
    data = encode_told(UndoingTold(state, "refused", 5, 9, ("gone",)))
    return Envelope(id="w", source="s", type=UNDOING, correlationid="p", data=data)


async def opened() -> tuple[MemoryStore, Opened]:
    store = MemoryStore(clock=Clock(), workers=InlineWorkers())
    return store, await store.open(Declaration((), (), {}, b"", partial=True, is_view=True))


def test_an_outcome_leaves_open_what_the_owner_then_says() -> None:
    async def story() -> list[WaveRow]:
        store, _ = await opened()
        undoing = ObservedUndoing(store)
        undoing.began(7, "order")
        found = [*await undoing.rows(outcome("w1"), "w1", 7, TOPOLOGY)]
        found += await undoing.rows(outcome("w2"), "w2", 7, TOPOLOGY)
        found += await undoing.rows(telling("compensating"), "w3", 7, TOPOLOGY)
        found += await undoing.rows(telling("compensated"), "w4", 7, TOPOLOGY)
        await store.close()
        return found

    rows = asyncio.run(story())
    assert [(row.version, row.state) for row in rows] == [(1, UNDECIDED), (2, "compensating"), (3, "compensated")]
    assert decode_undoing(rows[0].body).since == 5
    assert decode_undoing(rows[2].body).residue == ("gone",)


def test_nothing_is_open_about_other_processes_and_other_events() -> None:
    async def story() -> list[WaveRow]:
        store, _ = await opened()
        undoing = ObservedUndoing(store)
        undoing.began(7, "order")
        undoing.began(8, "plain")
        found = [*await undoing.rows(outcome("w1"), "w1", 8, TOPOLOGY)]
        found += await undoing.rows(outcome("w2", said="w1"), "w2", 7, TOPOLOGY)
        found += await undoing.rows(outcome("w2"), "w2", 9, TOPOLOGY)  # nobody knows it
        spoilt = Envelope(id="w", source="s", type=UNDOING, correlationid="p", data=b"{}")
        found += await undoing.rows(spoilt, "w5", 7, TOPOLOGY)
        await store.close()
        return found

    assert asyncio.run(story()) == []


def test_it_goes_on_from_what_is_stored() -> None:
    async def story() -> tuple[WaveRow, ...]:
        store, known = await opened()
        first = await ObservedUndoing(store).rows(telling("compensating"), "w1", 7, TOPOLOGY)
        store.append(Commit(epoch=known.epoch, waves=first))
        store.flush()
        await store.durable(store.appended)
        undoing = ObservedUndoing(store)
        undoing.began(7, "order")
        assert await undoing.rows(outcome("w2"), "w2", 7, TOPOLOGY) == ()
        rows = await undoing.rows(telling("compensated"), "w3", 7, TOPOLOGY)
        await store.close()
        return rows

    (row,) = asyncio.run(story())
    assert (row.version, row.state) == (2, "compensated")

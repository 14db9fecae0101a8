"""What must hold in every simulated world that has come to rest, whatever happened in it."""

from collections import Counter, defaultdict
from typing import Any

import apsw

from onstage.core.commit import event_of, handler_of
from onstage.core.journal import Stepped
from onstage.core.undoing import UNDO
from onstage.events.receipt import Status, decode_receipts
from onstage.observe.ledger import Ledger
from onstage.ports.store import EventView, ExecutionView, ProcessView, Reader
from onstage.testing import Sim
from onstage.testing.sim_faults import Faults

Seen = tuple[list[ProcessView], list[ExecutionView], list[EventView]]


async def everything(reader: Reader) -> Seen:
    processes = await reader.processes(limit=1000)
    executions = [view for row in processes for view in await reader.executions(process=row.id, limit=10_000)]
    return processes, executions, await reader.events(limit=10_000)


def check_accounts(sim: Sim) -> None:
    """At any moment of rest: receipts are dense, and the ledger rebuilt from them is the ledger."""
    processes, _, _ = sim.read(everything)
    ledger, seqs = Ledger(), defaultdict[tuple[int, int], list[int]](list)
    connection = apsw.Connection(str(sim.world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        for epoch, shard, seq, body in connection.execute(
            "select epoch, shard, seq, body from onstage_receipt order by position"
        ):
            for place, receipt in enumerate(decode_receipts(body), seq):
                seqs[epoch, shard].append(place)
                assert ledger.apply(epoch, shard, place, receipt), "a receipt stands there twice"
    finally:
        connection.close()
    for place, found in seqs.items():
        assert found == list(range(1, len(found) + 1)), f"receipts of {place} are not dense: {found}"
    for row in processes:
        assert ledger.digests.get(row.id, 0) == row.digest, f"process {row.id}: the ledger differs from its receipts"
        assert (row.digest == 0) == (row.open == 0), f"process {row.id}: {row.open} open, digest {row.digest:x}"
    assert sim.world.node.watch.unbalanced == 0


def check_settled(sim: Sim) -> None:
    """At the end: every obligation exists and is settled exactly once."""
    check_accounts(sim)
    processes, executions, events = sim.read(everything)
    assert [row.id for row in processes if row.open] == [], "processes with open obligations"
    assert [view for view in executions if Status(view.status).is_open] == []
    node = sim.world.node
    triggers = {name: route.triggers for name, route in node.routes.items()} | {UNDO: [node.waves.runs.reaction]}
    owed = {(event.n, reaction.number) for event in events for reaction in triggers[event.type]}
    assert {(event_of(view.id), handler_of(view.id)) for view in executions} == owed
    settled = Counter[tuple[int, int]]()
    connection = apsw.Connection(str(sim.world.path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        for (body,) in connection.execute("select body from onstage_receipt"):
            for receipt in decode_receipts(body):
                settled[receipt.event, receipt.handler] += receipt.handler > 0 and not Status(receipt.status).is_open
    finally:
        connection.close()
    assert {place: count for place, count in settled.items() if place in owed} == dict.fromkeys(owed, 1)
    causes = {event.cause for event in events if event.cause}
    assert causes <= {view.id for view in executions}, "an event without its cause"
    assert not sim.world.node.mailbox._waiting, "somebody still listens"  # noqa: SLF001


def watch_steps(monkeypatch: Any) -> list[str]:
    """From now on, note every call of a step whose result was durable already."""
    repeated: list[str] = []
    plain = Faults.invoke

    async def invoke(self: Faults, step: Any, frame: Any, position: str, arguments: tuple[Any, ...]) -> Any:
        stored = await frame.driver.node.store.reader.execution(frame.delivery.id)
        entries = stored.entries if stored is not None else ()
        if any(isinstance(entry, Stepped) and entry.position == position for entry in entries):
            repeated.append(f"{frame.reaction.name} {position}")
        return await plain(self, step, frame, position, arguments)

    monkeypatch.setattr(Faults, "invoke", invoke)
    return repeated

"""What a node is like at this moment, as metrics. Nothing is counted for it: it is read when somebody asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from onstage.events.envelope import hlc_ms
from onstage.ports.telemetry import Family, Kind, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.runtime.delivery import Delivery
    from onstage.runtime.node import Node

__all__ = ["LOOKED_AT_ONCE", "measured"]

LOOKED_AT_ONCE: Final = 5_000
"""After so many open executions the loop goes on with its work before the next ones are looked at."""


async def measured(node: Node | None) -> list[Family]:
    """The metrics of a node; of none, as a client has it, that there is none."""
    runs = node is not None and node.dispatches
    families = [
        Family("onstage", "info", "The version of Onstage.", [Sample(1, (("version", version("onstage")),), "_info")]),
        _one("onstage_node_running", "Whether this process runs handlers; a client of a node does not.", int(runs)),
    ]
    if node is None or not runs:
        return families
    families += _of_store(node)
    families += await _of_executions(node)
    families += _of_timers(node)
    families += await _of_broker(node)
    return families + list(node.telemetry.families() if node.telemetry is not None else ())


def _of_store(node: Node) -> list[Family]:
    store = node.store
    counted = store.statistics()
    return [
        _one("onstage_store_batches", "Batches written, with one fsync each.", counted["batches"], "counter"),
        _one("onstage_store_commits", "Commits that are durable.", counted["commits"], "counter"),
        _one("onstage_store_refused_commits", "Commits refused, run again since.", counted["refused"], "counter"),
        _one("onstage_store_undurable_commits", "Commits that are not on disk yet.", store.undurable),
        _one("onstage_store_in_trouble", "Whether the store cannot write at present.", int(store.trouble is not None)),
    ]


async def _of_executions(node: Node) -> list[Family]:
    states: Counter[tuple[str, str]] = Counter()
    opened = list(node.open.values())
    for at in range(0, len(opened), LOOKED_AT_ONCE):
        states.update((each.reaction.name, _state(each)) for each in opened[at : at + LOOKED_AT_ONCE])
        await asyncio.sleep(0)
    reactions = node.reactions.values()
    running = ((each.name, each.running) for each in reactions)
    backlog = ((each.name, len(each.backlog)) for each in reactions)
    lanes = ((each.name, len(each.lanes)) for each in reactions)
    queued = ((each.name, sum(len(queue) for queue in each.lanes.values() if queue)) for each in reactions)
    return [
        Family(
            "onstage_executions_open",
            "gauge",
            "Open executions, by what they are about: active, waiting, retrying or set aside.",
            [Sample(n, (("handler", handler), ("state", state))) for (handler, state), n in sorted(states.items())],
        ),
        _by_handler("onstage_handlers_running", "Runs of handlers under way.", running),
        _by_handler(
            "onstage_backlog",
            "Executions that wait for a place at their handler.",
            backlog,
        ),
        _by_handler("onstage_lanes", "Keys that are held by an execution.", lanes),
        _by_handler("onstage_lane_queue", "Executions that wait for one of their key.", queued),
        _one("onstage_ready", "Executions that run or could run now.", node.dispatcher.busy),
    ]


def _state(delivery: Delivery) -> str:
    if not delivery.parked:
        return "active"
    if delivery.waits:
        return "waiting"
    if delivery.due is None:
        return "set aside"
    return "retrying or sleeping"


def _of_timers(node: Node) -> list[Family]:
    late_s = node.timers.late_s()
    return [
        _one("onstage_timers", "Times at which something is to be woken.", node.timers.count),
        _one("onstage_timer_late_seconds", "How long the earliest of them is over.", late_s),
    ]


async def _of_broker(node: Node) -> list[Family]:
    if node.exchange is None:
        return []
    exchange = node.exchange
    relay, trouble = exchange.relay, exchange.broker.trouble
    behind = max(0, node.numbers.next_n - 1 - relay.sent_n)
    return [
        _one("onstage_broker_connected", "Whether the broker answers.", int(trouble is None)),
        _one("onstage_relay_published", "Messages the broker has taken.", relay.published, "counter"),
        _one("onstage_relay_republished", "Messages published again after a loss.", relay.republished, "counter"),
        _one("onstage_relay_lag_events", "Events that the relay has still to look at.", behind),
        _one("onstage_relay_lag_seconds", "How long the oldest of them is there.", await _waited_s(node, behind)),
    ]


async def _waited_s(node: Node, behind: int) -> float:
    """The age of the first event that the relay has not looked at."""
    assert node.exchange is not None, "only a node with a broker has a relay"
    first = await node.store.reader.events(after=node.exchange.relay.sent_n, limit=1) if behind else []
    return max(0, node.clock.now_ms() - hlc_ms(first[0].hlc)) / 1000 if first else 0.0


def _one(name: str, said: str, value: float, kind: Kind = "gauge") -> Family:
    return Family(name, kind, said, [Sample(value, (), "_total" if kind == "counter" else "")])


def _by_handler(name: str, said: str, values: Iterable[tuple[str, float]]) -> Family:
    return Family(name, "gauge", said, [Sample(value, (("handler", handler),)) for handler, value in values])

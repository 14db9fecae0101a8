"""The composition root: the one place that puts adapters behind the ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from onstage.brokers.absent import AbsentBroker
from onstage.brokers.sealed_broker import SealedBroker
from onstage.errors import UsageError
from onstage.ports.clock import SystemClock
from onstage.ports.payload_codec import Seal
from onstage.runtime.alerts import Alerts
from onstage.runtime.node import Node
from onstage.runtime.observatory import Observatory
from onstage.runtime.workers import ThreadWorkers
from onstage.stage import Stage
from onstage.stores.memory import MemoryStore
from onstage.stores.sealed_store import SealedReader, SealedStore
from onstage.stores.sqlite.connection import hosted_on, open_reader
from onstage.stores.sqlite.reader import SqliteReader
from onstage.stores.sqlite.store import LOCK_WAIT_S_MAX, SqliteStore
from onstage.telemetry.instruments import instruments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onstage.contracts.process import Process
    from onstage.contracts.service import Service
    from onstage.ports.broker import Broker
    from onstage.ports.clock import Clock
    from onstage.ports.payload_codec import PayloadCodec
    from onstage.ports.store import Reader, Store
    from onstage.ports.workers import Workers

__all__ = ["Apart", "observatory_on", "stage_on"]


class Apart(NamedTuple):
    """A node that runs some services, and exchanges events with the others over a broker."""

    broker: str
    hosted: frozenset[str]


def stage_on(
    path: Path | None,
    services: Sequence[Service],
    processes: Sequence[Process],
    *,
    synchronous: str,
    client_only: bool,
    apart: Apart | None = None,
    codec: PayloadCodec | None = None,
    offload_above: int | None = None,
    alert_webhook: str | None = None,
) -> Stage:
    """A stage for these parts of an App on the SQLite file at `path`, in memory for None; not yet entered."""

    def make_node(dispatch: bool, lock_wait_s: float = LOCK_WAIT_S_MAX) -> Node:  # noqa: FBT001  one flag
        clock, workers = SystemClock(), ThreadWorkers()
        held = apart if dispatch else apart or _held_apart(path)
        store = _store(path, clock, workers, synchronous=synchronous, lock_wait_s=lock_wait_s, above=offload_above)
        telemetry = instruments(clock, counted=stage.is_measured) if dispatch else None
        node = Node(
            services,
            processes,
            store=store if codec is None else SealedStore(store, codec),
            clock=clock,
            workers=workers,
            dispatch=dispatch,
            broker=None if held is None else _sealed(_broker(held.broker, clock), codec),
            hosted=None if held is None else held.hosted,
            telemetry=telemetry,
            alerts=None if alert_webhook is None or not dispatch else Alerts(alert_webhook, workers),
        )
        if node.exchange is not None and stage.on_broker is not None:
            node.exchange.broker_watch.tell = stage.on_broker
        return node

    if path is None:
        stage = Stage(make_node, path=None, client_only=client_only)
        return stage
    stage = Stage(
        make_node,
        path=path,
        reader=lambda: _reader(path, codec),
        make_holder=lambda: make_node(False, 0.0),
        client_only=client_only,
    )
    return stage


def _sealed(broker: Broker, codec: PayloadCodec | None) -> Broker:
    return broker if codec is None else SealedBroker(broker, codec)


def _reader(path: Path, codec: PayloadCodec | None) -> Reader:
    reader = SqliteReader(open_reader(path))
    return reader if codec is None else SealedReader(reader, Seal(codec))


def _held_apart(path: Path | None) -> Apart | None:
    """What a client is for the store that it holds: a service's part is kept as one, and has no broker meanwhile."""
    hosted = None if path is None else hosted_on(path)
    return None if hosted is None else Apart("", hosted)


def observatory_on(path: Path | None, broker: str, *, alert_webhook: str | None = None) -> Observatory:
    """An observer of the namespace behind `broker`, on the SQLite file at `path`; not yet started. Call on a loop."""
    clock = SystemClock()
    alerts = None if alert_webhook is None else Alerts(alert_webhook, ThreadWorkers())

    def make_store() -> Store:
        return _store(path, clock, ThreadWorkers(), synchronous="NORMAL", lock_wait_s=LOCK_WAIT_S_MAX)

    return Observatory(_broker(broker, clock), make_store, clock, alerts=alerts)


def _broker(url: str, clock: Clock) -> Broker:
    if not url:
        return AbsentBroker()
    try:
        from onstage.brokers.nats.broker import NatsBroker  # lazily: who has no broker needs no nats
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{url} needs the client of NATS\n  why: {error}\n  to do: pip install 'onstage[nats]'"
        ) from error
    return NatsBroker(url, clock=clock)


def _store(
    path: Path | None,
    clock: Clock,
    workers: Workers,
    *,
    synchronous: str,
    lock_wait_s: float,
    above: int | None = None,
) -> Store:
    if path is None:
        return MemoryStore(clock=clock, workers=workers, offload_above=above)
    return SqliteStore(
        path, clock=clock, workers=workers, synchronous=synchronous, lock_wait_s=lock_wait_s, offload_above=above
    )

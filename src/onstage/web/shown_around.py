"""What the web UI shows beside processes, as plain values: event types, the map, services, the audit log, actions."""

from __future__ import annotations

from typing import final

from onstage.web.shown import EventNode, ProcessRef, Shown, Standing

__all__ = [
    "AuditPage",
    "AuditRow",
    "Done",
    "EventTypePage",
    "EventTypeRow",
    "EventTypesPage",
    "MapPage",
    "SampleEvent",
    "SchemaVersion",
    "ServiceRow",
    "ServicesPage",
    "Tallied",
]


# Event types.


@final
class EventTypeRow(Shown, frozen=True, kw_only=True):
    """One event type: who emits it, who reacts to it or waits for it, how many of it there are (up to a limit)."""

    type: str
    version: int
    key: str | None
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    waiters: tuple[str, ...]
    count: int
    more: bool
    newest_ms: int | None


@final
class EventTypesPage(Shown, frozen=True, kw_only=True):
    """All event types of the newest topology, and those that were only seen, by name."""

    standing: Standing
    types: tuple[EventTypeRow, ...]


@final
class SchemaVersion(Shown, frozen=True, kw_only=True):
    """One shape of an event type as topologies declared it: its fingerprint, and its JSON Schema where known.

    `changes` are those since the shape before it, `breaks` those after which events of before cannot be read.
    """

    version: int
    since_ms: int
    fingerprint: str
    schema: str | None
    changes: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()


@final
class SampleEvent(Shown, frozen=True, kw_only=True):
    """One stored event, as a sample of its type."""

    event: EventNode
    process: ProcessRef


@final
class EventTypePage(Shown, frozen=True, kw_only=True):
    """One event type, with the newest of its events. `template` is a payload to begin a test event with."""

    standing: Standing
    type: EventTypeRow
    versions: tuple[SchemaVersion, ...]
    samples: tuple[SampleEvent, ...]
    template: str
    next: int | None = None


# The map, services, the audit log.


@final
class Tallied(Shown, frozen=True, kw_only=True):
    """One edge of the map between a handler and an event type, as `observe/service_map.py` has it.

    `mark` is "never seen", "not declared" or None. `open` and `failed` are how much is open and set aside at a
    handler's end of the edge now; `rate_s` is events a second over the last minute.
    """

    source: str
    target: str
    kind: str
    count: int
    failed: int
    open: int
    rate_s: float
    p50_ms: int | None
    p95_ms: int | None
    mark: str | None


@final
class MapPage(Shown, frozen=True, kw_only=True):
    """The map: `services` with their handlers, event types, edges. `topology` changes when the layout has to."""

    standing: Standing
    topology: str
    services: dict[str, tuple[str, ...]]
    events: tuple[str, ...]
    edges: tuple[Tallied, ...]
    complete: bool = True


@final
class ServiceRow(Shown, frozen=True, kw_only=True):
    """One handler: what it reacts to and emits, what is open and set aside at it, its limits, its pause."""

    service: str
    handler: str
    triggers: tuple[str, ...]
    emits: tuple[str, ...]
    waits: tuple[str, ...]
    open: int
    set_aside: int
    limits: tuple[str, ...]
    paused_ms: int | None
    paused_by: str | None
    paused_why: str | None


@final
class ServicesPage(Shown, frozen=True, kw_only=True):
    """The handlers that the newest application declares, by name."""

    standing: Standing
    handlers: tuple[ServiceRow, ...]


@final
class AuditRow(Shown, frozen=True, kw_only=True):
    """What an operator did: when, who, what, on what, and what came of it."""

    number: int
    at_ms: int
    by: str
    action: str
    target: str
    result: str
    done: bool


@final
class AuditPage(Shown, frozen=True, kw_only=True):
    """What operators did, the newest first. `next` is the number behind which the next page begins."""

    standing: Standing
    rows: tuple[AuditRow, ...]
    next: int | None = None


@final
class Done(Shown, frozen=True, kw_only=True):
    """What came of an action, in one line for each thing that it was done to, and why the others were refused."""

    action: str
    done: tuple[str, ...]
    refused: tuple[str, ...] = ()
    process: str | None = None

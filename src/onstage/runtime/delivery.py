"""What the dispatcher moves about: reactions (handlers of this node) and deliveries (one obligation each)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, final

import msgspec

from onstage.core.commit import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from onstage.contracts.handler import Handler
    from onstage.core.retry import Retry
    from onstage.events.event import EventType

__all__ = ["Delivery", "Reaction", "lane_key"]


@final
class Reaction:
    """A handler on this node, with its number in the store, its lanes and its free places."""

    __slots__ = (
        "backlog",
        "code",
        "concurrency",
        "emits",
        "fn",
        "gating",
        "handler",
        "is_ordered",
        "key",
        "lanes",
        "name",
        "number",
        "parks",
        "patient",
        "releases_lane",
        "responding",
        "retry",
        "running",
        "service",
        "timeout_s",
        "waits",
        "wants_envelope",
        "warned",
    )

    def __init__(self, handler: Handler[Any, Any], number: int, retry: Retry) -> None:
        """Take over the declaration."""
        self.handler = handler
        self.number = number
        self.name = handler.full_name
        self.service = handler.service
        self.fn: Callable[[Any], Coroutine[Any, Any, Any]] = handler.fn if handler.takes_event else _without(handler)
        self.gating = handler.gating
        self.emits = handler.emits
        self.waits = handler.waits
        self.responding = handler.responding
        self.key = handler.key
        self.retry = retry
        self.concurrency = handler.concurrency
        self.timeout_s = handler.timeout_s
        self.code = handler.code
        self.parks = handler.on_failure == "park"
        self.releases_lane = handler.lane == "until-wait"
        self.running = 0
        self.patient = False  # waits for the disk before it does anything that lasts
        self.lanes: dict[str, deque[Delivery] | None] = {}
        self.backlog: deque[Delivery] = deque()
        self.wants_envelope = handler.pattern is not None
        self.is_ordered = True  # events with a key go through its lane
        self.warned = False


@final
class Delivery(msgspec.Struct, eq=False):
    """One obligation on its way to a handler, and later the little that is kept of a parked execution.

    `data` is None where it is read from the store before running; `after` is the position of the commit that the
    delivery follows from. `lane` is the key of the lane it holds or waits for, None for no order.
    `names` are the public ids of process and event, unless both are this store's own. `signed` is the name that the
    handler had when the obligation was opened, unless it is the present one. From the moment `expires` (ms) on it is
    not begun any more. `abouts` are the requests whose answers it waits for. `deadline` (ms) is the one that its event
    came with, `cancelled` says that it is to end.
    """

    id: int
    reaction: Reaction
    process: int
    type: EventType | None
    lane: str | None
    after: int = 0
    data: bytes | None = None
    token: int = 0
    resumed: bool = False
    nudged: bool = False
    parked: bool = False
    has_lane: bool = False
    due: int | None = None
    waits: tuple[str, ...] = ()
    names: tuple[str, str] | None = None
    signed: str | None = None
    expires: int | None = None
    abouts: tuple[int, ...] = ()
    deadline: int | None = None
    cancelled: bool = False

    @property
    def n(self) -> int:
        """The number of the event."""
        return event_of(self.id)


def _without(handler: Handler[Any, Any]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    fn: Callable[[], Coroutine[Any, Any, Any]] = handler.fn  # type: ignore[assignment]  # declared so: it takes nothing
    return lambda _: fn()


def lane_key(type: EventType, field: str, data: bytes) -> str | None:
    """The lane of an event at a handler with a key of its own (`key=`). Raises ValueError if it cannot be decoded."""
    value = getattr(type.decode(data), field)
    return None if value is None else str(value)

"""What the dispatcher moves about: reactions (handlers of this node) and deliveries (one obligation each)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, final

import msgspec

from onstage.core.commit import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from onstage.contracts.handler import Handler
    from onstage.core.retry import Retry
    from onstage.events.event import EventType
    from onstage.events.receipt import Status
    from onstage.ports.store import EventView, ExecutionView

__all__ = ["Delivery", "Entrance", "Reaction", "Turn", "lane_key"]


class Entrance(Protocol):
    """What stands before a handler whose executions are limited, ranked, paused or gathered; see `turnstile`."""

    def holds(self, delivery: Delivery) -> bool:
        """Whether it keeps a new delivery back before that asks for its lane."""
        ...

    def enter(self, delivery: Delivery) -> None:
        """Take over a delivery that has its lane."""
        ...

    def left(self) -> None:
        """A place is free again."""
        ...

    def parked(self, delivery: Delivery, status: Status) -> None:
        """A run ended without settling its delivery."""
        ...

    async def recovered(self, delivery: Delivery, view: ExecutionView, event: EventView) -> None:
        """An execution is taken up from the store."""
        ...


class Turn(msgspec.Struct, eq=False):
    """What decides when a delivery is let in, where something does: its tenant, its priority, and what it is.

    `since` (ms) is when its event came, 0 once it was let go by what gathers events. `members` are the other
    deliveries of a batch, which are settled with this one.
    """

    tenant: str | None = None
    priority: int = 0
    has_begun: bool = False
    is_retry: bool = False
    since: int = 0
    members: tuple[Delivery, ...] = ()


@final
class Reaction:
    """A handler on this node, with its number in the store, its lanes and its free places."""

    __slots__ = (
        "backlog",
        "behind",
        "code",
        "concurrency",
        "emits",
        "fn",
        "gating",
        "generation",
        "handler",
        "held",
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
        "turnstile",
        "waits",
        "wants_envelope",
        "warned",
    )

    def __init__(self, handler: Handler[Any, Any], number: int, retry: Retry, *, generation: int = 0) -> None:
        """Take over the declaration. A `generation` is a replay of the handler: it is outside every ledger."""
        self.handler = handler
        self.number = number
        self.generation = generation
        self.name = f"{handler.full_name}@{generation}" if generation else handler.full_name
        self.service = handler.service
        self.fn: Callable[[Any], Coroutine[Any, Any, Any]] = handler.fn if handler.takes_event else _without(handler)
        self.gating = handler.gating and not generation
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
        self.behind = 0  # the event up to which history is delivered first, 0 if none is
        self.held: list[Delivery] = []  # what waits for that, to keep the order of its lane
        self.patient = False  # waits for the disk before it does anything that lasts
        self.lanes: dict[str, deque[Delivery] | None] = {}
        self.backlog: deque[Delivery] = deque()
        self.wants_envelope = handler.pattern is not None
        self.is_ordered = True  # events with a key go through its lane
        self.warned = False
        self.turnstile: Entrance | None = None


@final
class Delivery(msgspec.Struct, eq=False):
    """One obligation on its way to a handler, and later the little that is kept of a parked execution.

    `data` is None where it is read from the store before running; `after` is the position of the commit that the
    delivery follows from. `lane` is the key of the lane it holds or waits for, None for no order.
    `names` are the public ids of process and event, unless both are this store's own. `signed` is the name that the
    handler had when the obligation was opened, unless it is the present one. From the moment `expires` (ms) on it is
    not begun any more. `abouts` are the requests whose answers it waits for. `deadline` (ms) is the one that its event
    came with, `cancelled` says that it is to end. `gating` says whether its process waits for it; an older event that
    is delivered late is not gating, whatever its handler is. `extra` holds what the event's row has of further
    attributes. `hopeless` are types that could not come any more when its journal had this length.
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
    gating: bool = True
    turn: Turn | None = None
    extra: bytes | None = None
    hopeless: tuple[int, frozenset[str]] | None = None

    @property
    def n(self) -> int:
        """The number of the event."""
        return event_of(self.id)


def _without(handler: Handler[Any, Any]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    fn: Callable[[], Coroutine[Any, Any, Any]] = handler.fn  # type: ignore[assignment]  # declared so: it takes nothing
    return lambda _: fn()


def lane_key(type: EventType, field: str, data: bytes, version: int | None = None) -> str | None:
    """The lane of an event at a handler with a key of its own (`key=`). Raises ValueError if it cannot be decoded.

    `version` is that of the data, None for the present one.
    """
    value = getattr(type.decode(data) if version is None else type.read(data, version), field)
    return None if value is None else str(value)

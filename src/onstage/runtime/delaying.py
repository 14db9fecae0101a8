"""Delayed events on a node: how one is kept until it is due, and how it is emitted then.

Keeping is an emission of `onstage.later` whose one obligation has a due time; it is in the commit of whoever emits. Its
delivery waits in the heap of timers. When it is due it runs like any other, and its one commit settles the obligation
and emits the event: crash, refusal and accounts are those of every hop.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.contracts.flow_options import CONCURRENCY_MAX
from onstage.contracts.handler import Handler
from onstage.core.retry import HANDLER_RETRY
from onstage.errors import UsageError
from onstage.events.delayed import LATER, NO_EXTRA, Delayed, decode_delayed, encode_delayed
from onstage.events.event import define_event
from onstage.events.topic import Topic
from onstage.runtime.delivery import Reaction
from onstage.runtime.emission import Route
from onstage.runtime.wire import joined, with_expiry

if TYPE_CHECKING:
    from onstage.events.delayed import When
    from onstage.events.envelope import Envelope
    from onstage.ports.store import Opened
    from onstage.runtime.emission import Emission
    from onstage.runtime.frame import Frame

__all__ = ["LATER_TYPE", "Delaying", "release", "timed"]


class _Kept(msgspec.Struct, frozen=True):
    """Stands for the payload where a type must have a class; it is read as `Delayed`."""

    type: str
    due: int


LATER_TYPE: Final = define_event(_Kept, name=LATER)


async def _later(envelope: Envelope) -> Delayed:
    return decode_delayed(envelope.data)


@cache
def _handler() -> Handler[Envelope, Delayed]:
    options: Any = {"name": "later", "gating": True, "concurrency": CONCURRENCY_MAX}
    return Handler("onstage", _later, triggers=(), pattern=Topic(LATER), options=options)


@final
class Delaying:
    """Keeps delayed events; one for a node."""

    def __init__(self, opened: Opened, reactions: dict[int, Reaction]) -> None:
        """With the numbers that the store has given; adds its own reaction to those of the node."""
        self.reaction = Reaction(_handler(), opened.handlers[LATER], HANDLER_RETRY)
        self.reaction.is_ordered = False
        reactions[self.reaction.number] = self.reaction
        self._type_id = opened.types[LATER, LATER_TYPE.version]
        self._routes: dict[str, Route] = {}

    def keep(
        self,
        emission: Emission,
        route: Route,
        data: bytes,
        key: str | None,
        *,
        due: int,
        expires: int | None,
        extra: bytes | None,
        **emitted: Any,
    ) -> int:
        """Add to an emission that this event is emitted at `due`; `emitted` goes to `Emission.emit`. Answers its n."""
        known = self._routes.get(route.type.name)
        if known is None:
            known = self._routes[route.type.name] = Route(LATER_TYPE, self._type_id, route.starts)
            known.triggers = [self.reaction]
        attributes = NO_EXTRA if extra is None else msgspec.Raw(extra)
        kept = Delayed(route.type.name, due, msgspec.Raw(data), key, expires, attributes)
        return emission.emit(known, encode_delayed(kept), key, due=due, **emitted)


def timed(when: When | None, extra: bytes | None, now_ms: int) -> tuple[int | None, int | None, bytes | None]:
    """When an event that is emitted now is due and expires (ms), and its attributes, which say the latter."""
    if when is None:
        return None, None, extra
    expires = when.expiry(now_ms)
    return when.due(now_ms), expires, extra if expires is None else with_expiry(extra, expires)


def release(frame: Frame, emission: Emission, kept: Delayed, now_ms: int) -> int:
    """Add an event that is due to an emission; answers its number.

    Raises UsageError if this application no longer knows its type.
    """
    node, delivery = frame.driver.node, frame.delivery
    route = node.routes.get(kept.type)
    if route is None:
        raise UsageError(
            f"a delayed {kept.type} is due\n  why: no handler or process of this app names that type any more\n"
            "  to do: bring it back and `onstage dead retry`, or `onstage dead drop` it"
        )
    extra = None if bytes(kept.extra) == bytes(NO_EXTRA) else bytes(kept.extra)
    causation = None
    if delivery.names is not None:
        causation = f"{delivery.names[1]}/{frame.reaction.name}"
        extra = joined(extra, delivery.names[0], causation)
    return emission.emit(
        route,
        bytes(kept.data),
        kept.key,
        now_ms=now_ms,
        process=delivery.process,
        process_id=delivery.names[0] if delivery.names else None,
        cause=delivery.id,
        causation=causation,
        extra=extra,
        expires=kept.expires,
    )

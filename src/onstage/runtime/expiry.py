"""Events that are good for a while only: whether a handler may still begin with one, asked when it is about to.

That it began is stored before any effect, so that an event whose effects were made never expires afterwards.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

from onstage.core import lifecycle
from onstage.core.lifecycle import Input
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from onstage.runtime.frame import Frame

__all__ = ["Expired", "may_begin", "settle_expired"]


@final
class Expired(Exception):
    """The event is no longer good, and was not begun. `expires` is the moment, ms since the epoch."""

    def __init__(self, expires: int) -> None:
        """Carry the moment."""
        super().__init__(expires)
        self.expires = expires


def may_begin(frame: Frame, expires: int) -> bool:
    """Whether the event is still good, for an execution that has not begun; then that it begins is committed."""
    frame.delivery.expires = None
    if frame.driver.node.clock.now_ms() >= expires:
        return False
    frame.driver.commit(frame, Status.RUNNING)
    return True


def settle_expired(frame: Frame, expires: int) -> None:
    """Settle an execution that must not begin any more, as skipped."""
    moment = datetime.fromtimestamp(expires / 1000, UTC)
    status = lifecycle.advance(Status.READY, Input.EXPIRE)
    frame.driver.commit(frame, status, error=f"it expired at {moment:%Y-%m-%d %H:%M:%S} UTC, before it was begun")
    frame.closed = True
    frame.driver.node.settled(frame, status)

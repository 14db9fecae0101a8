"""Segments: what of an obligation a commit closes, and what follows it, as tokens of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.events.receipt import OPEN_MAX, token

if TYPE_CHECKING:
    from onstage.events.receipt import Status
    from onstage.runtime.emission import Emission
    from onstage.runtime.frame import Frame

__all__ = ["delta_of"]

_ZERO: Final = bytes(16)


def delta_of(frame: Frame, status: Status, emission: Emission | None) -> bytes:
    """Close this segment's token if the obligation is settled or something was emitted; open what follows."""
    if not frame.delivery.gating:
        return _ZERO
    delta = emission.delta if emission is not None else 0
    ends = status > OPEN_MAX
    if ends or emission is not None:
        delta ^= _token(frame)
    if emission is not None and not ends:
        frame.segment += 1
        delta ^= _token(frame)
    return delta.to_bytes(16, "big")


def _token(frame: Frame) -> int:
    delivery = frame.delivery
    if frame.segment == 0 and delivery.token:
        return delivery.token
    process, event = delivery.names or frame.driver.node.numbers.names(delivery.process, delivery.n)
    return token(process, event, delivery.signed or frame.reaction.name, frame.segment)

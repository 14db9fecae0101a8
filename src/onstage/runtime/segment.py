"""Segments: what of an obligation a commit closes, and what follows it, as tokens and receipts of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.events.receipt import OPEN_MAX, Receipt, token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.core.commit import Commit
    from onstage.events.receipt import Status
    from onstage.runtime.emission import Emission
    from onstage.runtime.frame import Along, Frame
    from onstage.runtime.node import Node

__all__ = ["append_along", "delta_of", "receipt_of"]

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


def receipt_of(frame: Frame, commit: Commit, segment: int, delta: bytes, outputs: Iterable[tuple[int, int]]) -> Receipt:
    """What a commit did about the obligation of its execution; `segment` is the one that it found open."""
    delivery = frame.delivery
    return Receipt(
        commit.process,
        delivery.n,
        frame.reaction.number,
        segment,
        commit.status,
        frame.driver.node.numbers.hlc,
        delta,
        tuple(outputs),
        commit.started,
        commit.ended,
        commit.attempts,
        commit.error,
        commit.due,
        commit.waits,
        delivery.names,
    )


def _token(frame: Frame) -> int:
    delivery = frame.delivery
    if frame.segment == 0 and delivery.token:
        return delivery.token
    process, event = delivery.names or frame.driver.node.numbers.names(delivery.process, delivery.n)
    return token(process, event, delivery.signed or frame.reaction.name, frame.segment)


def append_along(node: Node, along: Along, commit: Commit, emission: Emission | None) -> int:
    """Append a commit of an execution with what goes along with it: states, and completions that were taken."""
    commit.states, commit.notes = tuple(along.states.values()), along.notes(commit.notes)
    position = node.append(commit, emission)
    node.entities.appended(position, commit.states)
    node.completions.dropping(position, along.taken)
    return position

"""Answers: what the end of an execution says to whoever asked for it, in the commit that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.core.lifecycle import Input
from onstage.errors import UsageError
from onstage.runtime.emission import Emission
from onstage.runtime.error_text import storable

if TYPE_CHECKING:
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = ["FAILURES", "answer_of", "failure_of", "failure_said"]

FAILURES: Final = {Input.REJECT: "rejected", Input.CANCEL: "cancelled", Input.DROP: "dropped"}
"""What an answer says of an execution that ended without a result."""


def answer_of(frame: Frame, result: Any) -> Emission:
    """The answer that holds what a handler returned; nothing if it ran again for events that were handled before.

    Raises UsageError if that is not what the annotation says, ValueError if it is larger than an event may be.
    """
    reaction, node = frame.reaction, frame.driver.node
    responding = reaction.responding
    assert responding is not None, "only who is asked answers"
    try:
        value = bytes(responding.result.encode(result))
        responding.result.decode(value)
    except Exception as error:  # the class's own code may raise anything
        raise UsageError(
            f"{reaction.name} returned {type(result).__qualname__}, not what its annotation says\n"
            f"  why: {error}\n  to do: mend the annotation or the result ({reaction.handler.where})"
        ) from error
    delivery = frame.delivery
    if not delivery.gating:
        return Emission(node.numbers)
    return _said(node, reaction, (delivery.process, delivery.n), delivery.names, {"value": msgspec.Raw(value)})


def failure_of(frame: Frame, happened: Input, reason: str) -> Emission | None:
    """The answer that there is no result, None if nobody asked, or what happened is no end."""
    kind, delivery = FAILURES.get(happened), frame.delivery
    if kind is None or frame.reaction.responding is None or not delivery.gating:
        return None
    place = (delivery.process, delivery.n)
    return failure_said(frame.driver.node, frame.reaction, place, delivery.names, (kind, reason))


def failure_said(
    node: Node,
    reaction: Reaction,
    place: tuple[int, int],
    names: tuple[str, str] | None,
    failure: tuple[str, str],
) -> Emission:
    """The answer that the request at `place` (process, number) has failed: in which way, and why."""
    return _said(node, reaction, place, names, {"failure": (failure[0], storable(failure[1]))})


def _said(
    node: Node, reaction: Reaction, place: tuple[int, int], names: tuple[str, str] | None, said: dict[str, Any]
) -> Emission:
    responding = reaction.responding
    assert responding is not None, "only who is asked answers"
    process, n = place
    about = names[1] if names else node.numbers.identity.wire(n)
    data = responding.answer.encode(responding.answer.cls(about=about, **said))
    if len(data) > node.event_bytes_max:
        raise ValueError(f"an answer of {len(data)} bytes is larger than {node.event_bytes_max}")
    emission = Emission(node.numbers)
    emission.emit(
        node.routes[responding.answer.name],
        data,
        None,
        now_ms=node.clock.now_ms(),
        process=process,
        process_id=names[0] if names else None,
        cause=n << 16 | reaction.number,
        causation=f"{about}/{reaction.name}" if names else None,
    )
    return emission

"""Answers: what the end of an execution says to whoever asked for it, in the commit that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.core.lifecycle import Input
from onstage.errors import BrokerUnavailable, UsageError
from onstage.events.answer import Answer, answer_type, asked_name
from onstage.runtime.emission import Emission, Route
from onstage.runtime.error_text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.contracts.manifest import HandlerManifest
    from onstage.runtime.delivery import Reaction
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = [
    "FAILURES",
    "UNANSWERED",
    "WRITTEN_OFF",
    "answer_of",
    "failure_of",
    "failure_said",
    "refuse_unanswered",
    "unanswered_said",
    "write_off_said",
]

FAILURES: Final = {Input.REJECT: "rejected", Input.CANCEL: "cancelled", Input.DROP: "dropped"}
"""What an answer says of an execution that ended without a result."""
WRITTEN_OFF: Final = "written off"
"""And of one whose handler is gone."""
UNANSWERED: Final = "unanswered"
"""And what is said of a request that nobody will answer any more, although nobody said so."""


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


def unanswered_said(request: str) -> bytes:
    """The payload of an answer that nobody gave: the request with this public id will have none."""
    why = "nothing that it obliges is open any more, and there is no answer"
    return msgspec.json.encode(Answer(request, failure=(UNANSWERED, why)))


async def refuse_unanswered(node: Node, request: str, who: str) -> None:
    """Raise UsageError for a request of a type that nobody answers, here or in the topology, to the one `who` asks.

    While the registry is out of reach somebody may have joined who does: then nothing is refused.
    """
    if _is_answered(node.manifest.handlers, request):
        return
    if node.exchange is not None:
        registry = node.exchange.registry
        try:
            if _is_answered(registry.current.handlers, request):
                return
            if _is_answered((await registry.refresh()).handlers, request):
                return
        except BrokerUnavailable:
            return
    where = "no handler of this app answers it" if node.exchange is None else "no service that has joined answers it"
    raise UsageError(
        f"{who} asks {asked_name(request)}, which nobody answers\n  why: {where}, so it would wait for nothing\n"
        "  to do: declare a handler with @service.answers for it, or start the service that has one"
    )


def _is_answered(handlers: Iterable[HandlerManifest], request: str) -> bool:
    return any(each.answers == request for each in handlers)


def _said(
    node: Node, reaction: Reaction, place: tuple[int, int], names: tuple[str, str] | None, said: dict[str, Any]
) -> Emission:
    responding = reaction.responding
    assert responding is not None, "only who is asked answers"
    return _emitted(node, node.routes[responding.answer.name], (reaction.number, reaction.name), place, names, said)


def write_off_said(
    node: Node, request: str, handler: tuple[int, str], place: tuple[int, int], names: tuple[str, str] | None
) -> Emission | None:
    """The answer that a request will never be answered, as its handler (number, name) is gone and was retired.

    None if this store has never known a type for such answers: then nobody here can wait for one.
    """
    answer = answer_type(request)
    route = node.routes.get(answer.name)
    if route is None:
        number = next((number for number, name in node.type_names.items() if name == answer.name), None)
        if number is None:
            return None
        route = Route(answer, number, None)
    why = f"{handler[1]}, which answered it, was retired"
    return _emitted(node, route, handler, place, names, {"failure": (WRITTEN_OFF, why)})


def _emitted(
    node: Node,
    route: Route,
    handler: tuple[int, str],
    place: tuple[int, int],
    names: tuple[str, str] | None,
    said: dict[str, Any],
) -> Emission:
    process, n = place
    about = names[1] if names else node.numbers.identity.wire(n)
    data = route.type.encode(route.type.cls(about=about, **said))
    if len(data) > node.event_bytes_max:
        raise ValueError(f"an answer of {len(data)} bytes is larger than {node.event_bytes_max}")
    emission = Emission(node.numbers)
    emission.emit(
        route,
        data,
        None,
        now_ms=node.clock.now_ms(),
        process=process,
        process_id=names[0] if names else None,
        cause=n << 16 | handler[0],
        causation=f"{about}/{handler[1]}" if names else None,
    )
    return emission

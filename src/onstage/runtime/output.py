"""What a handler emits: checked against what it declares, and added to what one commit emits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from onstage.errors import UndeclaredEvent
from onstage.events.delayed import Delayed
from onstage.events.envelope import KEY_BYTES_MAX
from onstage.events.event import event_type, is_event
from onstage.runtime.answering import answer_of
from onstage.runtime.delaying import release, timed
from onstage.runtime.emission import Emission
from onstage.runtime.routing import source_of
from onstage.runtime.wire import joined, of_process, with_source, with_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.events.delayed import When
    from onstage.runtime.emission import Route
    from onstage.runtime.frame import Frame

__all__ = ["add", "emission_of", "put"]

_SEVERAL: Final = (tuple, list)


def emission_of(frame: Frame, result: Any) -> Emission:
    """The emission of what a handler returned: one event, or a tuple or list of them. Raises as `put` does.

    What a handler returns that answers requests is its answer.
    """
    node = frame.driver.node
    if frame.reaction.responding is not None:
        return answer_of(frame, result)
    emission = Emission(node.numbers)
    now_ms = node.clock.now_ms()
    for output in result if isinstance(result, _SEVERAL) else (result,):
        put(frame, emission, output, now_ms)
    return emission


def put(frame: Frame, emission: Emission, output: Any, now_ms: int, when: When | None = None) -> int:
    """Add one event to an emission, or what keeps it until it is due; answers its number.

    Raises UndeclaredEvent for a type the handler did not declare, ValueError for an event that is too large.
    """
    cls, node = type(output), frame.driver.node
    if cls not in frame.reaction.emits:
        if cls is Delayed:
            return release(frame, emission, output, now_ms)
        raise _undeclared(frame, output)
    route = node.routes_by_class[cls]
    data = route.type.encode(output)
    if len(data) > node.event_bytes_max:
        raise ValueError(f"an event of {len(data)} bytes is larger than {node.event_bytes_max}")
    key = route.type.key_of(output)
    if key is not None and len(key) > KEY_BYTES_MAX // 4:  # a character has at most four bytes
        key = node.admission.key_of(route, output)
    return add(frame, emission, route, data, key, now_ms=now_ms, when=when)


def add(
    frame: Frame,
    emission: Emission,
    route: Route,
    data: bytes,
    key: str | None,
    *,
    now_ms: int,
    when: When | None = None,
    expires: int | None = None,
) -> int:
    """Add one encoded event to an emission; answers its number. It `expires` (ms) if no `when` says so."""
    delivery, joins, node = frame.delivery, frame.delivery.gating, frame.driver.node
    process_id = delivery.names[0] if joins and delivery.names else None
    causation = f"{delivery.names[1]}/{frame.reaction.name}" if delivery.names else None
    trace = None if node.telemetry is None else node.telemetry.carried(delivery.id)
    emit: Callable[..., int] = emission.emit
    if when is not None:
        emit = partial(_emit_timed, frame, emission, when, trace)
    elif trace is not None:
        emit = partial(emit, extra=of_process(process_id, causation, expires=expires, trace=trace), expires=expires)
    elif expires is not None:
        emit = partial(emit, expires=expires)
    return emit(
        route,
        data,
        key,
        now_ms=now_ms,
        process=delivery.process if joins else 0,
        process_id=process_id,
        cause=delivery.id,
        causation=causation,
    )


def _emit_timed(
    frame: Frame,
    emission: Emission,
    when: When,
    trace: tuple[str, str | None] | None,
    route: Route,
    data: bytes,
    key: str | None,
    **emitted: Any,
) -> int:
    node, delivery = frame.driver.node, frame.delivery
    due, expires, extra = timed(when, None if trace is None else with_trace(None, trace), emitted["now_ms"])
    if due is not None:
        extra = with_source(extra, source_of(node.services, frame.reaction.service))
        return node.delaying.keep(emission, route, data, key, due=due, expires=expires, extra=extra, **emitted)
    if extra is not None and delivery.names is not None:
        extra = joined(extra, emitted["process_id"], emitted["causation"])
    return emission.emit(route, data, key, extra=extra, expires=expires, **emitted)


def _undeclared(frame: Frame, output: Any) -> UndeclaredEvent:
    what = event_type(type(output)).name if is_event(type(output)) else f"{type(output).__qualname__} (no event)"
    return UndeclaredEvent(
        f"{frame.reaction.name} emits {what}, which it does not declare ({frame.reaction.handler.where})\n"
        "  why: the return annotation is the contract\n  to do: add it to the annotation, or to emits=[...]"
    )

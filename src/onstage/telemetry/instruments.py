"""The telemetry of a node: its counts if somebody reads them, its spans if the program has a tracer provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import msgspec

from onstage.events.receipt import Status
from onstage.telemetry.counts import Counts
from onstage.telemetry.meters import meter_provider
from onstage.telemetry.trace_context import provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from onstage.core.commit import Commit
    from onstage.core.identity import Identity
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome, Stored
    from onstage.ports.telemetry import Family
    from onstage.telemetry.spans import Spans
    from onstage.telemetry.trace_context import Carried

    Invoke = Callable[[Any, Any, str, tuple[Any, ...]], Awaitable[Any]]

__all__ = ["Instruments", "instruments"]


class _Trace(msgspec.Struct):
    """What of an event's further attributes is about its trace."""

    traceparent: str | None = None
    tracestate: str | None = None


_DECODE = msgspec.json.Decoder(_Trace).decode


def instruments(clock: Clock, *, counted: bool) -> Instruments | None:
    """The telemetry that is wanted: None if nothing is counted and the program traces nothing."""
    traces, counted = provider(), counted or meter_provider() is not None
    if traces is None:
        return Instruments(Counts(), None) if counted else None
    from onstage.telemetry.spans import Spans  # lazily: it imports OpenTelemetry

    return Instruments(Counts() if counted else None, Spans(traces, clock))


@final
class Instruments:
    """Counts and spans, told of the same things."""

    def __init__(self, counts: Counts | None, spans: Spans | None) -> None:
        """Either may be missing."""
        self._counts = counts
        self._spans = spans

    def begin(self, handlers: Mapping[int, str], types: Mapping[int, str], identity: Identity) -> None:
        """Learn the names."""
        if self._counts is not None:
            self._counts.handlers, self._counts.types = handlers, types
        if self._spans is not None:
            self._spans.begin(handlers, identity)

    def appended(self, commit: Commit) -> None:
        """A commit has its position."""
        if self._counts is not None:
            self._counts.appended(commit)
        if self._spans is not None:
            self._spans.appended(commit)

    def durable(self, outcome: BatchOutcome) -> None:
        """A batch is durable."""
        if self._counts is not None:
            self._counts.durable(outcome)
        if self._spans is not None:
            self._spans.durable(outcome)

    def run(self, delivery: Any, coroutine: Coroutine[Any, Any, Any], stored: Stored | None) -> Any:
        """The coroutine under a span, if there are any."""
        if self._spans is None:
            return coroutine
        from onstage.telemetry.spans import Run

        type_name = "" if delivery.type is None else delivery.type.name
        extra, waited = delivery.extra, False
        if stored is not None:
            type_name, extra = stored.event.type, stored.event.extra
            waited = stored.execution.status == Status.WAITING
        run = Run(
            delivery.id,
            delivery.process,
            type_name,
            None if stored is None else stored.event.key,
            delivery.names,
            _carried(extra),
            resumed=stored is not None,
            waited=waited,
        )
        return self._spans.run(run, coroutine)

    def carried(self, execution: int) -> Carried | None:
        """The trace that events of this execution travel with."""
        return None if self._spans is None else self._spans.carried(execution)

    def traced(self, invoke: Invoke) -> Invoke:
        """How steps are run, under spans if there are any."""
        spans = self._spans
        if spans is None:
            return invoke

        async def attempt(step: Any, frame: Any, position: str, arguments: tuple[Any, ...]) -> Any:
            call = invoke(step, frame, position, arguments)
            return await spans.attempt(frame.delivery.id, step.name, position, call)

        return attempt

    def each_end(self, tell: Callable[[float, str], None]) -> None:
        """Tell how long each execution took, and its handler, once it has ended durably."""
        if self._counts is not None:
            self._counts.each_end = tell

    def families(self) -> Sequence[Family]:
        """What was counted."""
        return () if self._counts is None else self._counts.families()


def _carried(extra: bytes | None) -> Carried | None:
    if not extra:
        return None
    try:
        found = _DECODE(extra)
    except (ValueError, RecursionError):
        return None
    return None if found.traceparent is None else (found.traceparent, found.tracestate)

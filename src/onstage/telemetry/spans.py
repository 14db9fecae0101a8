"""Spans: one for each run of an execution, one for each attempt of a step in it, none for what replay answers.

A span is ended, and so handed to whoever exports it, when the commit that it led to is durable: nobody is shown an id
of something that a crash takes back. One whose commit is refused is never ended. A run takes part in the trace of the
event that started it. A run after a wait, which may come days later, begins a trace of its own and links to that one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from onstage.core.commit import event_of, handler_of
from onstage.events.receipt import Status
from onstage.telemetry import conventions as names
from onstage.telemetry.trace_context import Carried, as_carried

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onstage.core.commit import Commit
    from onstage.core.identity import Identity
    from onstage.ports.clock import Clock
    from onstage.ports.store import BatchOutcome

__all__ = ["Run", "Spans"]

_ASIDE: Final = (Status.PARKED, Status.DIVERGED)
_PROPAGATOR: Final = TraceContextTextMapPropagator()
Ended = tuple[Span, int]


class Run(NamedTuple):
    """What a span says of a run: which execution, of which process, started by an event of which type and key.

    `carried` is the trace that the event came with. After a wait, the run is far from the event.
    """

    execution: int
    process: int
    type: str
    key: str | None
    names: tuple[str, str] | None
    carried: Carried | None
    resumed: bool = False
    waited: bool = False


@final
class Spans:
    """The spans of one node."""

    def __init__(self, provider: Any, clock: Clock) -> None:
        """Of this tracer provider."""
        self._tracer = provider.get_tracer(names.TRACER, schema_url=names.SCHEMA_URL)
        self._clock = clock
        self._handlers: Mapping[int, str] = {}
        self._identity: Identity
        self._open: dict[int, tuple[Span, Callable[[], int]]] = {}
        self._steps: dict[int, list[Ended]] = {}
        self._ended: deque[tuple[int, Sequence[Ended]]] = deque()

    def begin(self, handlers: Mapping[int, str], identity: Identity) -> None:
        """The names behind the numbers."""
        self._handlers, self._identity = handlers, identity

    # Runs.

    async def run(self, run: Run, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a handler under a span of its own, which is current for what the handler calls."""
        span = self._begun(run)
        with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            return await coroutine

    def _begun(self, run: Run) -> Span:
        handler = self._handlers.get(handler_of(run.execution), "")
        process, event = run.names or (self._identity.wire(run.process), self._identity.wire(event_of(run.execution)))
        origin = _context(run.carried)
        before = trace.get_current_span(origin).get_span_context()
        links = [Link(before)] if run.waited and before.is_valid else []
        start, now = self._now()
        span: Span = self._tracer.start_span(
            f"process {handler}",
            context=Context() if run.waited else origin,
            kind=SpanKind.CONSUMER,
            links=links,
            start_time=start,
            attributes={
                names.SYSTEM: "onstage",
                names.OPERATION_NAME: "process",
                names.OPERATION_TYPE: "process",
                names.DESTINATION: run.type,
                names.GROUP: handler,
                names.MESSAGE: event,
                names.CONVERSATION: process,
                names.EXECUTION_RESUMED: run.resumed,
                **({} if run.key is None else {names.PROCESS_KEY: run.key}),
            },
        )
        self._open[run.execution] = span, now
        return span

    def carried(self, execution: int) -> Carried | None:
        """The trace that an event of this execution travels with."""
        found = self._open.get(execution)
        return None if found is None else as_carried(found[0].get_span_context())

    # Steps.

    async def attempt(self, execution: int, step: str, position: str, attempt: Awaitable[Any]) -> Any:
        """One attempt of a step, under a span below that of its run."""
        found = self._open.get(execution)
        above = Context() if found is None else trace.set_span_in_context(found[0], Context())
        start, now = self._now()
        attributes = {names.STEP: step, names.STEP_KEY: position}
        span: Span = self._tracer.start_span(f"step {step}", context=above, start_time=start, attributes=attributes)
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                return await attempt
        except Exception as error:
            span.set_attribute(names.ERROR_TYPE, type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            self._steps.setdefault(execution, []).append((span, now()))

    # Ending them.

    def appended(self, commit: Commit) -> None:
        """What ended before this commit waits for it to be durable; so does the run's own span if this is its last."""
        execution = commit.execution
        if not execution:
            return
        ended = self._steps.pop(execution, [])
        found = None if commit.status == Status.RUNNING else self._open.pop(execution, None)
        if found is not None:
            span, now = found
            span.set_attribute(names.EXECUTION_OUTCOME, Status(commit.status).label)
            if commit.status in _ASIDE:
                span.set_status(StatusCode.ERROR)
            ended.append((span, now()))
        if ended:
            self._ended.append((commit.position, ended))

    def durable(self, outcome: BatchOutcome) -> None:
        """End what is durable now."""
        refused = {refusal.commit.position for refusal in outcome.refused}
        while self._ended and self._ended[0][0] <= outcome.position:
            position, ended = self._ended.popleft()
            if position in refused:
                continue
            for span, at in ended:
                span.end(at)
        for refusal in outcome.refused:
            self._open.pop(refusal.commit.execution, None)
            self._steps.pop(refusal.commit.execution, None)

    def _now(self) -> tuple[int, Callable[[], int]]:
        """The time in nanoseconds, and what will tell the time later, on the same clock even if the wall's is set."""
        start, time = self._clock.now_ms() * 1_000_000, asyncio.get_running_loop().time
        began = time()
        return start, lambda: start + round((time() - began) * 1e9)


def _context(carried: Carried | None) -> Context:
    if carried is None:
        return Context()
    headers = {"traceparent": carried[0]} | ({} if carried[1] is None else {"tracestate": carried[1]})
    return _PROPAGATOR.extract(headers, Context())

"""W3C Trace Context, and whether there is tracing: asked of what the program has imported, so it costs no import."""

from __future__ import annotations

import sys
from typing import Any, Final

__all__ = ["Carried", "as_carried", "current", "provider"]

Carried = tuple[str, str | None]
"""A `traceparent` and a `tracestate`."""

_SAMPLED: Final = 0x01


def provider() -> Any:
    """The tracer provider that the program has set; None if it has set none, or has no OpenTelemetry."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    found = trace.get_tracer_provider()
    return None if isinstance(found, trace.ProxyTracerProvider) else found


def current() -> Carried | None:
    """The trace of whoever calls; None if there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    return None if trace is None else as_carried(trace.get_current_span().get_span_context())


def as_carried(context: Any) -> Carried | None:
    """A span's context as it travels with an event; None for one that is not valid."""
    if not context.is_valid:
        return None
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & _SAMPLED:02x}"
    return parent, context.trace_state.to_header() or None

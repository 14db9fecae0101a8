"""Whether there is tracing is asked of what the program has imported."""

import subprocess
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import TraceState

from onstage.telemetry.trace_context import as_carried, current, provider

SPAN = trace.SpanContext(
    0xA, 0xB, is_remote=False, trace_flags=trace.TraceFlags(1), trace_state=TraceState([("v", "1")])
)


def test_the_current_trace_is_told_as_the_w3c_writes_it() -> None:
    assert current() is None
    with trace.use_span(trace.NonRecordingSpan(SPAN)):
        assert current() == ("00-0000000000000000000000000000000a-000000000000000b-01", "v=1")
    assert as_carried(trace.INVALID_SPAN_CONTEXT) is None


def test_a_provider_counts_once_the_program_has_set_one() -> None:
    assert provider() is None
    code = (
        "import sys\nfrom onstage.telemetry.trace_context import *\n"
        "print(provider(), current(), 'opentelemetry' in sys.modules)\n"
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "print(provider())\ntrace.set_tracer_provider(TracerProvider())\nprint(type(provider()).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["None None False", "None", TracerProvider.__name__]

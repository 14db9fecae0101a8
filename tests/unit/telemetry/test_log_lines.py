"""A record is one line of JSON, whatever is in it."""

import logging
import sys

import msgspec
from opentelemetry import trace

from onstage.telemetry.log_lines import JsonLines


def record(message: str, *arguments: object) -> logging.LogRecord:
    made = logging.LogRecord("shop", logging.WARNING, "f.py", 1, message, arguments, None)
    made.created = 1_700_000_000.5
    return made


def test_a_record_is_an_object_on_one_line() -> None:
    made = record("two\nlines of %s", "text")
    made.onstage_process, made.onstage_step, made.other = "p", None, "left out"
    line = JsonLines().format(made)
    assert "\n" not in line
    assert msgspec.json.decode(line) == {
        "time": "2023-11-14T22:13:20.500+00:00",
        "level": "warning",
        "logger": "shop",
        "message": "two\nlines of text",
        "onstage_process": "p",
    }


def test_an_error_and_the_present_trace_are_said() -> None:
    made = record("failed")
    try:
        int("no")
    except ValueError:
        made.exc_info = sys.exc_info()
    span = trace.NonRecordingSpan(trace.SpanContext(0xA, 0xB, is_remote=False))
    with trace.use_span(span):
        said = msgspec.json.decode(JsonLines().format(made))
    assert said["exception"].endswith("invalid literal for int() with base 10: 'no'")
    assert (said["trace_id"], said["span_id"]) == (f"{0xA:032x}", f"{0xB:016x}")

"""Log lines as JSON, one object a line: for collectors that would otherwise have to take texts apart."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final, final

import msgspec

from onstage.telemetry.trace_context import current

__all__ = ["JsonLines"]

_PREFIX: Final = "onstage_"


@final
class JsonLines(logging.Formatter):
    """Formats a record as `{"time": ..., "level": ..., "logger": ..., "message": ...}`, with what else is known.

    That is what `LogContext` has added (`onstage_process` and so on), `trace_id` and `span_id` where there is a trace,
    and `exception`. Keys without a value are left out. Times are RFC 3339 in UTC.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, without a line break in it."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {key: value for key, value in vars(record).items() if key.startswith(_PREFIX) and value is not None}
        if (trace := current()) is not None:
            _, said["trace_id"], said["span_id"], _ = trace[0].split("-")
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(said, enc_hook=str).decode(errors="replace")

"""For the logs of your program: `LogContext` adds the ids of process, execution and step, `JsonLines` writes JSON."""

from onstage.runtime.log_context import KEYS, LogContext
from onstage.telemetry.log_lines import JsonLines

__all__ = ["KEYS", "JsonLines", "LogContext"]

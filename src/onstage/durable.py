"""Durable calls and helpers beyond the first ones: long steps."""

from onstage.errors import CompletedElsewhere
from onstage.runtime.long_step import completion_token, heartbeat, last_heartbeat

__all__ = [
    "CompletedElsewhere",
    "completion_token",
    "heartbeat",
    "last_heartbeat",
]

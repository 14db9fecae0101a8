"""What people read: spans in words, instants in UTC, text without control characters."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

__all__ = ["age", "clean", "instant", "moment"]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))


def clean(text: object) -> str:
    """Text that can do nothing to a terminal: control characters are shown, not sent."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text))


def age(ms: float) -> str:
    """A span of time as people say it: `350ms`, `12s`, `4m 10s`, `3h 5m`, `2d 4h`."""
    if ms < 0:
        return f"-{age(-ms)}"
    if ms < 1000:
        return f"{ms:.0f}ms"
    rest = int(ms / 1000)
    parts = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    if rest or not parts:
        parts.append(f"{rest}s")
    return " ".join(parts[:2])


def instant(ms: int | None) -> datetime | None:
    """Milliseconds since the epoch as a time, for JSON."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def moment(ms: int) -> str:
    """Milliseconds since the epoch as people read it, in UTC."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"

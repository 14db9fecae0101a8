"""How things are printed: tables, times and ages for people; JSON for programs."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import click
import msgspec

__all__ = ["age", "clean", "instant", "moment", "note", "plural", "print_json", "print_table", "shortened", "styled"]

_COLOURS: Final = {
    "completed": "green",
    "done": "green",
    "ok": "green",
    "running": "cyan",
    "waiting": "blue",
    "retrying": "yellow",
    "dead end": "yellow",
    "stuck": "red",
    "dead letter": "red",
    "diverged": "red",
    "problem": "red",
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))
_MORE: Final = "…"


def print_json(value: object) -> None:
    """Print one JSON value on a line of stdout."""
    click.echo(msgspec.json.encode(value).decode())


def note(text: str) -> None:
    """Say something beside the output, on stderr."""
    click.echo(text, err=True)


def clean(text: object) -> str:
    """Text that can do nothing to a terminal: control characters are shown, not sent."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text))


def shortened(text: str, width: int) -> str:
    """At most `width` columns of a text."""
    if _columns(text) <= width:
        return text
    kept = text[: max(width - 1, 0)]
    while kept and _columns(kept) > width - 1:
        kept = kept[:-1]
    return kept + _MORE


def styled(word: str) -> str:
    """A verdict or status in its colour."""
    colour = _COLOURS.get(word)
    return click.style(word, fg=colour) if colour else word


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns; on a terminal the last one is cut to fit, elsewhere nothing is."""
    texts = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(headers, *texts, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in (list(headers), *texts):
        padded = [cell + " " * (width - _columns(cell)) for cell, width in zip(line, widths, strict=True)]
        if room is not None:
            padded[-1] = shortened(line[-1], max(room - sum(widths[:-1]) - 2 * (len(widths) - 1), 20))
        coloured = [styled(cell.rstrip()) + " " * (len(cell) - len(cell.rstrip())) for cell in padded]
        click.echo("  ".join(coloured).rstrip())


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


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


def plural(count: int, word: str) -> str:
    """`1 event`, `2,000 events`, `3 processes`."""
    if count == 1:
        return f"1 {word}"
    return f"{count:,} {word}{'es' if word.endswith('s') else 's'}"

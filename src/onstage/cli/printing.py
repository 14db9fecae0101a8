"""How things are printed: tables, times and ages for people; JSON for programs."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import click
import msgspec

from onstage.reading.wording import age, clean, instant, moment

__all__ = ["age", "clean", "instant", "moment", "note", "plural", "print_json", "print_table", "shortened", "styled"]

_COLOURS: Final = {
    "completed": "green",
    "done": "green",
    "ok": "green",
    "running": "cyan",
    "waiting": "blue",
    "retrying": "yellow",
    "dead end": "yellow",
    "compensating": "cyan",
    "compensated": "yellow",
    "compensated with residue": "red",
    "stuck": "red",
    "dead letter": "red",
    "diverged": "red",
    "problem": "red",
}
_MORE: Final = "…"


def print_json(value: object) -> None:
    """Print one JSON value on a line of stdout."""
    click.echo(msgspec.json.encode(value).decode())


def note(text: str) -> None:
    """Say something beside the output, on stderr."""
    click.echo(text, err=True)


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


def plural(count: int, word: str) -> str:
    """`1 event`, `2,000 events`, `3 processes`."""
    if count == 1:
        return f"1 {word}"
    return f"{count:,} {word}{'es' if word.endswith('s') else 's'}"

"""Durations as users write them (``"90s"``, ``"1h30m"``, ``timedelta``, a number) turned into seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

__all__ = ["DURATION_S_MAX", "seconds"]

DURATION_S_MAX: Final = 100 * 365.25 * 86_400
"""The longest duration, 100 Julian years in seconds: beyond it a typing error is likelier than a wish."""

_UNIT_S: Final = {
    "w": Decimal(604_800),
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_ORDER: Final = tuple(_UNIT_S)
_TEXT_CHARS_MAX: Final = 64
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[wdhms])")
_WHOLE: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[wdhms]))+")


def seconds(duration: str | timedelta | float) -> float:
    """Return ``duration`` in seconds, at least 0 and at most ``DURATION_S_MAX``.

    Text is one or more numbers with a unit (``w d h m s ms``), the larger unit first, each once. A bare
    number means seconds.

    Raises:
        ValueError: with three lines (what, why, what to do) if it is not a duration or out of range.
    """
    value = _value(duration)
    if not math.isfinite(value):
        raise _bad(duration, "it is not a finite number")
    if value < 0:
        raise _bad(duration, "a duration is never negative")
    if value > DURATION_S_MAX:
        raise _bad(duration, "it is longer than 100 years")
    return value


def _value(duration: object) -> float:
    match duration:
        case str():
            return _parsed(duration)
        case timedelta():
            return duration.total_seconds()
        case bool():
            raise _bad(duration, "a truth value is not a duration")
        case int() | float():
            return _number(duration)
        case _:
            raise _bad(duration, f"{type(duration).__name__} is neither text, timedelta nor a number")


def _number(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _parsed(text: str) -> float:
    if len(text) > _TEXT_CHARS_MAX or not _WHOLE.fullmatch(text):
        raise _bad(text, "it is not a number with a unit (w, d, h, m, s or ms)")
    parts = _PART.findall(text)
    places = [_ORDER.index(unit) for _, unit in parts]
    if places != sorted(set(places)):
        raise _bad(text, "each unit may occur once, the larger before the smaller")
    # Decimal, because "200ms" must be the float 0.2 and not 200 * 0.001 with its rounding.
    return float(sum((Decimal(number) * _UNIT_S[unit] for number, unit in parts), Decimal(0)))


def _bad(duration: object, why: str) -> ValueError:
    try:
        shown = repr(duration[: _TEXT_CHARS_MAX + 1] if isinstance(duration, str) else duration)
    except (ValueError, RecursionError):  # a whole number of more than 4,300 digits, nesting without end
        shown = f"a value of type {type(duration).__name__}"
    shown = shown if len(shown) <= _TEXT_CHARS_MAX else shown[:_TEXT_CHARS_MAX] + "..."
    return ValueError(
        f"not a duration: {shown}\n"
        f"  why: {why}\n"
        '  to do: write it like "200ms", "90s", "1h30m" or "3d", or pass a timedelta or seconds as a number'
    )

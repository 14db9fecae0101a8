"""One decoder on one input: round trip or the one declared error, within limits of time; and how many were tried."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import process_time
from typing import Any, Final, final

__all__ = ["CASES", "CPU_S_MAX", "ERROR_CHARS_MAX", "Broken", "Decoder", "attempt", "attempt_all"]

CASES: Final[Counter[str]] = Counter()
"""Inputs tried so far, by decoder."""
CPU_S_MAX: Final = 2.0
"""One input of at most some megabytes takes milliseconds; in this much CPU time something is quadratic."""
ERROR_CHARS_MAX: Final = 20_000
"""No error repeats an input in full: neither a log nor a reply may grow with what a stranger sends."""


@final
class Broken(AssertionError):
    """A decoder did something else than promised; the text has the input."""


@final
@dataclass(frozen=True)
class Decoder:
    """A decoder under test. `again` takes what was decoded there and back once more, and raises if it changed."""

    name: str
    decode: Callable[[bytes], Any]
    error: type[Exception]
    samples: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    again: Callable[[Any], None] = lambda _: None


def attempt(decoder: Decoder, data: bytes) -> bool:
    """Whether the input was accepted. Raises Broken."""
    CASES[decoder.name] += 1
    began = process_time()
    accepted, value = False, None
    try:
        value = decoder.decode(data)
        accepted = True
    except decoder.error as error:
        if type(error) is not decoder.error:
            raise Broken(f"{decoder.name}: {type(error).__name__} for {_shown(data)}") from error
        if len(str(error)) > ERROR_CHARS_MAX:
            raise Broken(f"{decoder.name}: an error of {len(str(error))} characters for {_shown(data)}") from error
    except BaseException as error:
        raise Broken(f"{decoder.name}: {type(error).__name__} for {_shown(data)}") from error
    if accepted:
        _again(decoder, data, value)
    took = process_time() - began
    if took > CPU_S_MAX:
        raise Broken(f"{decoder.name}: {took:.1f} s of CPU for {_shown(data)}")
    return accepted


def _again(decoder: Decoder, data: bytes, value: Any) -> None:
    try:
        decoder.again(value)
    except BaseException as error:
        raise Broken(f"{decoder.name}: not the same there and back ({error}): {_shown(data)}") from error


def attempt_all(decoder: Decoder, inputs: Iterable[bytes]) -> tuple[int, int]:
    """How many of the inputs were accepted and how many refused. Raises Broken."""
    answers = Counter(attempt(decoder, data) for data in inputs)
    return answers[True], answers[False]


def _shown(data: bytes) -> str:
    return f"{data!r}" if len(data) <= 400 else f"{data[:200]!r} ... {data[-100:]!r} ({len(data)} bytes)"

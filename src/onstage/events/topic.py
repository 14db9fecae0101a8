"""Topic patterns over event names: ``*`` is exactly one token, ``>`` is the rest, one token or more."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, final

from onstage.errors import refusal

__all__ = ["SYSTEM_PREFIX", "Topic"]

SYSTEM_PREFIX: Final = "onstage."
"""Names that begin so are Onstage's own; only a pattern that begins so too can match them."""

_PATTERN_CHARS_MAX: Final = 255
_TOKEN: Final = re.compile(r"[^\s.*>\x00-\x1f\x7f\ud800-\udfff]+")


@final
@dataclass(frozen=True, slots=True)
class Topic:
    """A compiled pattern such as ``"shop.*"`` or ``"shop.>"``; two are equal if their text is.

    Raises:
        DefinitionError: if the pattern is empty, too long, has an empty token, a wildcard that is only part
            of a token, or ``>`` anywhere but at the end. ``where`` ("file.py:12") is put into the text.
    """

    pattern: str
    where: str = field(default="", compare=False, repr=False)
    _search: re.Pattern[str] = field(init=False, compare=False, repr=False)
    _system: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check and compile the pattern."""
        why = _fault(self.pattern)
        if why:
            raise refusal(
                f"invalid topic pattern {self.pattern[:_PATTERN_CHARS_MAX]!r}",
                why,
                'write tokens joined by dots, "*" for one token, ">" last for the rest: "shop.*", "shop.>"',
                self.where,
            )
        object.__setattr__(self, "_search", re.compile(_regex(self.pattern)))
        object.__setattr__(self, "_system", self.pattern.startswith(SYSTEM_PREFIX))

    def matches(self, name: str) -> bool:
        """Say whether the event name ``name`` is in this topic."""
        if name.startswith(SYSTEM_PREFIX) and not self._system:
            return False
        return self._search.fullmatch(name) is not None

    def __str__(self) -> str:
        """Return the pattern as it was written."""
        return self.pattern


def _fault(pattern: str) -> str:
    if not pattern:
        return "it is empty"
    if len(pattern) > _PATTERN_CHARS_MAX:
        return f"it is longer than {_PATTERN_CHARS_MAX} characters"
    *before, last = pattern.split(".")
    if ">" in before:
        return '">" stands for the rest, so nothing can follow it'
    for token in (*before, last):
        if token not in {"*", ">"} and not _TOKEN.fullmatch(token):
            return f"the token {token!r} is empty, has a space or half a character, or mixes a wildcard with text"
    return ""


def _regex(pattern: str) -> str:
    # A rest may hold dots but neither begin, end nor double them: "shop." has no second token.
    one = r"[^.]+"
    wild = {"*": one, ">": rf"{one}(?:\.{one})*"}
    return r"\.".join(wild.get(token) or re.escape(token) for token in pattern.split("."))

"""A rule of an expectation, as a plain value that is stored with the manifest and judged wherever receipts are read."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, final

import msgspec

from onstage.events.event import EventType

__all__ = ["Kind", "Rule", "WrittenRule"]

Kind = Literal[
    "leads_to",
    "alternates_with",
    "is_next_followed_by",
    "forbids",
    "before",
    "each_before",
    "directly_before",
    "never",
    "never_both",
    "at_most",
    "at_least",
    "exactly",
    "only_if",
    "both_or_neither",
    "one_of",
    "exactly_one_of",
    "starts_with",
    "ends_with",
]
"""The kinds of rules, by the name of the function or method that writes them."""


@final
class Rule(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """One rule. `text` is how it was written and names it: another text is another rule. Event types are meant by name.

    `of` are the types that it is about, `to` those that have to come or must not, `until` those that lift it; `count`
    is its number, and `within_ms` its time in ms.
    """

    text: str
    kind: Kind
    of: tuple[str, ...]
    to: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    count: int = 0
    within_ms: int | None = None
    same_key: bool = False

    @property
    def id(self) -> str:
        """Eight hex digits that stand for the text."""
        return blake2b(self.text.encode(), digest_size=4).hexdigest()

    @property
    def types(self) -> tuple[str, ...]:
        """Every event type that it names, each once."""
        return tuple(dict.fromkeys((*self.of, *self.to, *self.until)))


@final
@dataclass(frozen=True, slots=True)
class WrittenRule:
    """A rule, the event types that it names, and where it was written ("file.py:12")."""

    rule: Rule
    types: tuple[EventType, ...]
    where: str

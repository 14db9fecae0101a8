"""Subjects: where in a log a message stands, and the filters by which a reader names what it wants.

A namespace has one log. In it are events at ``evt.<namespace>.<partition>.<type>``, receipts at
``rcpt.<namespace>.<shard>``, and what is meant for one service at ``ctl.<namespace>.<service>``. A partition is the
FNV-1a hash (32 bits) of the key modulo 64: what the transform ``partition(64,...)`` of a NATS server computes too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from onstage.errors import UsageError

__all__ = [
    "FILTERS_MAX",
    "PARTITIONS",
    "check_in_log",
    "check_key",
    "check_namespace",
    "control_subject",
    "covers",
    "event_subject",
    "log_subjects",
    "matches",
    "partition_of",
    "receipt_subject",
    "subjects_for",
    "widest",
]

PARTITIONS: Final = 64
"""Into how many partitions the events of a namespace fall. It is part of the wire format and never changes."""
FILTERS_MAX: Final = 128
"""How many subjects a reader filters by; above it takes all types of its partitions and drops what it does not want."""

_PRIME: Final = 16_777_619
_OFFSET: Final = 2_166_136_261
_KEY_CHARS_MAX: Final = 200
_NAMESPACE: Final = re.compile(r"[a-z0-9_-]{1,63}")
_KEY: Final = re.compile(r"[a-zA-Z0-9_=/-]+(?:\.[a-zA-Z0-9_=/-]+)*")
_TOKENS: Final = re.compile(r"[^\s.*>\x00-\x1f\x7f\ud800-\udfff]+(?:\.[^\s.*>\x00-\x1f\x7f\ud800-\udfff]+)*")


def partition_of(key: str | None, n: int) -> int:
    """Return the partition of an event with this key; one without a key goes by its number ``n``."""
    if key is None:
        return n % PARTITIONS
    digest = _OFFSET
    for byte in key.encode():
        digest = (digest ^ byte) * _PRIME & 0xFFFFFFFF
    return digest % PARTITIONS


def event_subject(namespace: str, partition: int, type_name: str) -> str:
    """Return the subject of an event.

    Raises:
        UsageError: if the namespace or the type cannot be part of a subject.
    """
    return f"evt.{check_namespace(namespace)}.{partition}.{_checked('event type', type_name)}"


def receipt_subject(namespace: str, shard: int) -> str:
    """Return the subject of the receipts of a shard. Raises UsageError for a wrong namespace."""
    return f"rcpt.{check_namespace(namespace)}.{shard}"


def control_subject(namespace: str, service: str) -> str:
    """Return the subject of what is meant for one service. Raises UsageError for a wrong namespace or service."""
    return f"ctl.{check_namespace(namespace)}.{_checked('service', service)}"


def log_subjects(namespace: str) -> tuple[str, ...]:
    """Return patterns for all that the log of a namespace holds. Raises UsageError for a wrong namespace."""
    return tuple(f"{kind}.{check_namespace(namespace)}.>" for kind in ("evt", "rcpt", "ctl"))


def subjects_for(namespace: str, partitions: range, types: Sequence[str], *, whole: bool = False) -> tuple[str, ...]:
    """Return the filters of a reader of these event types in these partitions; none covers another.

    A type may be a pattern. With ``whole``, or if there would be more than ``FILTERS_MAX``, all types are taken, so a
    reader drops what it did not ask for. All partitions together are one token ``*``.

    Raises:
        UsageError: if the namespace cannot be part of a subject.
    """
    start = f"evt.{check_namespace(namespace)}"
    wanted = widest(types)
    places = ["*"] if len(partitions) == PARTITIONS else [str(partition) for partition in partitions]
    if whole or len(places) * len(wanted) > FILTERS_MAX:
        wanted = (">",)
    return tuple(f"{start}.{place}.{tail}" for place in places for tail in wanted)


def widest(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that no other one covers, each once, in their order."""
    each = tuple(dict.fromkeys(patterns))
    return tuple(one for one in each if not any(other != one and covers(other, one) for other in each))


def matches(subject: str, pattern: str) -> bool:
    """Say whether a subject is in a pattern: ``*`` is any one token, a ``>`` at the end is one token or more."""
    return subject == pattern or covers(pattern, subject)


def covers(wide: str, narrow: str) -> bool:
    """Say whether all subjects of the pattern ``narrow`` are in the pattern ``wide``."""
    wide_tokens, narrow_tokens = wide.split("."), narrow.split(".")
    if wide_tokens[-1] == ">":
        wide_tokens.pop()
        if len(narrow_tokens) <= len(wide_tokens):
            return False
        narrow_tokens = narrow_tokens[: len(wide_tokens)]
    if len(wide_tokens) != len(narrow_tokens) or ">" in narrow_tokens:
        return False
    return all(one in ("*", other) for one, other in zip(wide_tokens, narrow_tokens, strict=True))


def check_namespace(namespace: str) -> str:
    """Return the namespace if it can be a token of a subject. Raises UsageError if not."""
    if _NAMESPACE.fullmatch(namespace):
        return namespace
    raise UsageError(
        f"{namespace[:80]!r} is no namespace\n  why: it is a part of every subject of the log, and of its name\n"
        "  to do: take 1 to 63 characters of a-z, 0-9, _ and -"
    )


def check_in_log(namespace: str, subject: str) -> None:
    """Raise UsageError unless a message of this subject belongs into the log of the namespace."""
    if not subject.startswith((f"evt.{namespace}.", f"rcpt.{namespace}.", f"ctl.{namespace}.")):
        raise UsageError(
            f"{subject[:80]!r} is no subject of the log of {namespace}\n  why: the log would not keep the message\n"
            "  to do: make subjects with event_subject, receipt_subject and control_subject"
        )
    _checked("name", subject)


def check_key(key: str) -> str:
    """Return the key if the registry of a log can have it. Raises UsageError if not."""
    if len(key) <= _KEY_CHARS_MAX and _KEY.fullmatch(key):
        return key
    raise UsageError(
        f"{key[:80]!r} is no key of the registry\n  why: it becomes a part of a subject\n"
        f"  to do: take at most {_KEY_CHARS_MAX} of a-z, A-Z, 0-9, _, =, / and -, and dots between them"
    )


def _checked(what: str, name: str) -> str:
    if _TOKENS.fullmatch(name):
        return name
    raise UsageError(
        f"the {what} {name[:80]!r} cannot be in a subject\n  why: a part of it is empty, has a space or a wildcard\n"
        "  to do: name it with tokens joined by dots, such as shop.order-placed"
    )

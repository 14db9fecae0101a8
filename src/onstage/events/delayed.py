"""Delayed events: what is said of an event before its time has come.

Until then it is kept in an event of Onstage's own, `onstage.later`, which one handler of Onstage's own owes an answer
to: so the process stays open, and nobody who reads the log takes the event for one that has happened. When it is due
that handler emits it, and it gets its number, its place in its lane and its mailboxes then.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, final

import msgspec

from onstage.errors import UsageError
from onstage.events.codec import DecodeFailed
from onstage.events.duration import DURATION_S_MAX, seconds

__all__ = ["LATER", "NO_EXTRA", "Delayed", "When", "decode_delayed", "encode_delayed", "when_of"]

LATER: Final = "onstage.later"
"""The type of the event that keeps another one until it is due, and the name of the handler that then emits it."""

NO_EXTRA: Final = msgspec.Raw(b"null")

Duration = str | timedelta | float


@final
class Delayed(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that is due at `due` (ms since the epoch): its type, payload and key, and its attributes (`extra`).

    `expires` is the moment (ms) from which on it is not begun any more.
    """

    type: str
    due: int
    data: msgspec.Raw
    key: str | None = None
    expires: int | None = None
    extra: msgspec.Raw = NO_EXTRA


@final
class When(msgspec.Struct, frozen=True, array_like=True):
    """When an event is due and how long it is good for, as its emitter said it; times in ms, moments since the epoch.

    `after` counts from its emission, `lasts` from the moment it is due.
    """

    after: int | None = None
    at: int | None = None
    lasts: int | None = None
    expires: int | None = None

    def due(self, now_ms: int) -> int | None:
        """The moment at which it is due if it is emitted at `now_ms`; None for at once."""
        due = now_ms + self.after if self.after is not None else self.at
        return due if due is not None and due > now_ms else None

    def expiry(self, now_ms: int) -> int | None:
        """The moment at which it expires, if it does."""
        if self.lasts is None:
            return self.expires
        return (self.due(now_ms) or now_ms) + self.lasts


encode_delayed: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Delayed).decode


def decode_delayed(data: bytes) -> Delayed:
    """The event in the payload of an `onstage.later`. Raises DecodeFailed if there is none."""
    try:
        return _DECODE(data)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"a delayed event: {error}") from error


def when_of(
    *, after: Duration | None = None, at: datetime | None = None, expires: Duration | datetime | None = None
) -> When | None:
    """What these options of an emission say; None if they say nothing.

    Raises:
        ValueError: if a duration is none.
        UsageError: if a moment has no time zone or is more than 100 years off, or both `after` and `at` are given.
    """
    if after is None and at is None and expires is None:
        return None
    if after is not None and at is not None:
        raise UsageError("an event is emitted with after= and at=\n  why: it is due once\n  to do: give one of the two")
    moment = isinstance(expires, datetime)
    return When(
        None if after is None else _ms(after),
        None if at is None else _moment("at", at),
        None if expires is None or isinstance(expires, datetime) else _ms(expires),
        _moment("expires", expires) if moment and isinstance(expires, datetime) else None,
    )


def _ms(duration: Duration) -> int:
    return round(seconds(duration) * 1000)


def _moment(option: str, moment: object) -> int:
    mend = "give an aware datetime, such as onstage.now() + timedelta(hours=1)"
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise UsageError(
            f"{option}={moment!r}\n  why: only a datetime with a time zone is one moment everywhere\n  to do: {mend}"
        )
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if not 0 <= ms <= 2 * DURATION_S_MAX * 1000:
        raise UsageError(f"{option}={moment!r}\n  why: it is too far from now\n  to do: {mend}")
    return ms

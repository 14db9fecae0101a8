"""What is said of an event before its time has come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from onstage.errors import UsageError
from onstage.events.codec import DecodeFailed
from onstage.events.delayed import NO_EXTRA, Delayed, When, decode_delayed, encode_delayed, when_of

NOW = 1_000_000
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
MS = round(MOMENT.timestamp() * 1000)


@pytest.mark.parametrize(
    ("when", "due", "expiry"),
    [
        (When(), None, None),
        (When(after=5), NOW + 5, None),
        (When(after=0), None, None),
        (When(at=NOW), None, None),
        (When(at=NOW + 1), NOW + 1, None),
        (When(lasts=7), None, NOW + 7),
        (When(after=5, lasts=7), NOW + 5, NOW + 12),
        (When(at=3, lasts=7), None, NOW + 7),
        (When(at=NOW + 9, expires=NOW + 3), NOW + 9, NOW + 3),
    ],
)
def test_times_count_from_the_emission_and_validity_from_the_due_time(
    when: When, due: int | None, expiry: int | None
) -> None:
    assert (when.due(NOW), when.expiry(NOW)) == (due, expiry)


def test_options_become_milliseconds() -> None:
    assert when_of() is None
    assert when_of(after="10m", expires=timedelta(seconds=1)) == When(after=600_000, lasts=1_000)
    assert when_of(at=MOMENT, expires=MOMENT) == When(at=MS, expires=MS)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"after": "1m", "at": MOMENT}, "due once"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"at": "2026-01-01"}, "time zone"),
        ({"at": datetime(9000, 1, 1, tzinfo=UTC)}, "too far"),
        ({"expires": datetime(1960, 1, 1, tzinfo=UTC)}, "too far"),
    ],
)
def test_what_is_no_time_is_refused_in_three_lines(options: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        when_of(**options)
    assert len(str(refused.value).splitlines()) == 3


def test_an_event_is_kept_as_it_was() -> None:
    for kept in (
        Delayed("a.b", 5, msgspec.Raw(b'{"x":1}'), "k", 9, msgspec.Raw(b'{"id":"7"}')),
        Delayed("a.b", 5, msgspec.Raw(b"{}")),
    ):
        read = decode_delayed(encode_delayed(kept))
        assert (read.type, read.due, read.key, read.expires) == (kept.type, kept.due, kept.key, kept.expires)
        assert (bytes(read.data), bytes(read.extra)) == (bytes(kept.data), bytes(kept.extra))
    assert bytes(NO_EXTRA) == b"null"


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"type":1}', b"\xff"])
def test_what_is_no_delayed_event_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeFailed, match="a delayed event"):
        decode_delayed(data)

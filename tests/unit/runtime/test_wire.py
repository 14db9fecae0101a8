"""Rows and envelopes: what came from outside goes out again as it came."""

from datetime import UTC, datetime

import pytest

from onstage.core.identity import Identity
from onstage.errors import InvalidEvent
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import Envelope
from onstage.ports.store import EventView
from onstage.runtime.wire import check_outside, from_outside, to_envelope

IDENTITY = Identity("st", ((1, "in"),))
HLC = 1_700_000_000_000 << 16


def row(*, cause: int = 0, extra: bytes | None = None) -> EventView:
    return EventView(5, 3, "shop.paid", 1, "o1", cause, HLC, 2, b'{"id":"o1"}', extra)


def test_an_event_of_our_own_gets_its_attributes_from_the_row() -> None:
    envelope = to_envelope(row(cause=4 << 16 | 1), IDENTITY, "//acme/shop")
    assert (envelope.id, envelope.source, envelope.type) == ("st-in-5", "//acme/shop", "shop.paid")
    assert (envelope.correlationid, envelope.causationid) == ("st-in-3", "st-in-4")
    assert (envelope.subject, envelope.partitionkey, envelope.topology, envelope.hlc) == ("o1", "o1", 2, HLC)
    assert envelope.time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert envelope.data == b'{"id":"o1"}'


def test_an_event_from_outside_keeps_what_it_came_with() -> None:
    came = Envelope(
        id="77",
        source="//bank/core",
        type="shop.paid",
        time=datetime(2020, 1, 2, tzinfo=UTC),
        dataschema="https://bank/paid",
        expirytime=datetime(2030, 1, 2, tzinfo=UTC),
        traceparent="00-1",
        tracestate="a=b",
        sequence="9",
        extensions={"branch": "north"},
    )
    went = to_envelope(row(extra=from_outside(came)), IDENTITY, "//onstage/door")
    for name in ("id", "source", "time", "dataschema", "traceparent", "tracestate", "sequence", "extensions"):
        assert getattr(went, name) == getattr(came, name)
    assert went.expirytime == came.expirytime
    assert went.causationid is None


def test_an_empty_id_is_replaced_by_our_own() -> None:
    assert to_envelope(row(extra=b'{"id":"","source":""}'), IDENTITY, "//x").id == "st-in-5"


@pytest.mark.parametrize(
    "extra",
    [
        b"[]",
        b"{",
        b'{"id":5}',
        b'{"time":"soon"}',
        b'{"extensions":[]}',
        b'{"extensions":{"a":1}}',
        b"[" * 99_999,
        b"\xff",
    ],
)
def test_attributes_that_cannot_be_read_are_refused_with_one_error_each(extra: bytes) -> None:
    with pytest.raises(InvalidEvent, match="the attributes from outside cannot be read"):
        check_outside(extra)
    with pytest.raises(DecodeFailed, match="the attributes of event 5"):
        to_envelope(row(extra=extra), IDENTITY, "//x")


@pytest.mark.parametrize(
    "extra",
    [
        b'{"id":"a\\u0000b"}',
        b'{"source":"' + b"x" * 5_000 + b'"}',
        b'{"time":"2020-01-01T00:00:00"}',
        b'{"sequence":""}',
        b'{"extensions":{"data":"x"}}',
        b'{"extensions":{"specversion":"9"}}',
        b'{"extensions":{"Big":"x"}}',
        b'{"extensions":{"a":"\\u0007"}}',
    ],
)
def test_attributes_that_no_cloud_event_has_are_not_let_in(extra: bytes) -> None:
    with pytest.raises(InvalidEvent):
        check_outside(extra)


def test_attributes_that_no_json_can_carry_are_refused() -> None:
    with pytest.raises(InvalidEvent, match="are no JSON"):
        from_outside(Envelope(id="\ud800", source="//x", type="a"))


def test_what_a_later_version_keeps_is_passed_over() -> None:
    extra = b'{"id":"7","source":"//bank","colour":"red"}'
    check_outside(extra)
    assert to_envelope(row(extra=extra), IDENTITY, "//x").id == "7"

"""CloudEvents in requests, in the three content modes of HTTP."""

import msgspec
import pytest

from onstage.embedding.http_events import BATCH_EVENTS_MAX, REQUEST_BYTES_MAX, from_request
from onstage.errors import InvalidEvent
from onstage.events.envelope import EVENT_BYTES_MAX

BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "//s", "ce-type": "t", "Content-Type": "application/json"}
EVENT = {"specversion": "1.0", "id": "1", "source": "//s", "type": "t", "data": {"a": 1}}


def test_the_three_modes_say_the_same() -> None:
    (binary,) = from_request(BINARY, b'{"a":1}')
    structured = from_request(
        {"Content-Type": "application/cloudevents+json; charset=utf-8"}, msgspec.json.encode(EVENT)
    )
    batch = msgspec.json.encode([EVENT, EVENT | {"id": "2"}])
    first, second = from_request({"content-type": "application/cloudevents-batch+json"}, batch)
    assert [each.data for each in (binary, *structured, first)] == [b'{"a":1}'] * 3
    assert (binary.id, structured[0].id, first.id, second.id) == ("1", "1", "1", "2")
    assert from_request({"content-type": "application/cloudevents-batch+json"}, b"[]") == []


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({"content-type": "application/json"}, b"{}", "holds no CloudEvent"),
        ({}, b"", "holds no CloudEvent"),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}", "no JSON array"),
        ({"content-type": "application/cloudevents-batch+json"}, b'["a\xff"]', "no JSON array"),
        ({"content-type": "application/cloudevents-batch+json"}, b"[" * 100_000, "no JSON array"),
        ({"content-type": "application/cloudevents-batch+json"}, b"[1]", "not a JSON object"),
        ({"content-type": "application/cloudevents+xml"}, b"", "is not read"),
        (
            {"content-type": "application/cloudevents-batch+json"},
            b"[" + b",".join([b"{}"] * (BATCH_EVENTS_MAX + 1)) + b"]",
            "at most 1000",
        ),
    ],
)
def test_what_is_no_event_is_refused(headers: dict[str, str], body: bytes, why: str) -> None:
    with pytest.raises(InvalidEvent, match=why):
        from_request(headers, body)


def test_the_largest_event_fits_into_a_request() -> None:
    assert REQUEST_BYTES_MAX > 2 * EVENT_BYTES_MAX

"""Events as messages: both modes, what is percent-encoded, and what is refused."""

import re
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import InvalidEvent
from onstage.events.binding import from_message, to_headers
from onstage.events.envelope import EVENT_BYTES_MAX, Envelope, to_json

MINIMAL = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "//x/shop", "ce-type": "shop.placed"}
words = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)
instants = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))  # noqa: DTZ001 - hypothesis adds UTC
envelopes = st.builds(
    Envelope,
    id=words,
    source=words,
    type=words,
    subject=st.none() | words,
    time=st.none() | instants,
    datacontenttype=st.none() | st.sampled_from(["application/json", "text/plain", "image/png; a=ü"]),
    dataschema=st.none() | words,
    correlationid=st.none() | words,
    partitionkey=st.none() | words,
    sequence=st.none() | words,
    expirytime=st.none() | instants,
    topology=st.none() | st.integers(0, 2**31 - 1),
    hlc=st.none() | st.integers(0, 2**63 - 1),
    generation=st.none() | st.integers(0, 2**31 - 1),
    data=st.binary(max_size=100),
    extensions=st.dictionaries(st.sampled_from(["foo", "x1", "tenant"]), words, max_size=2),
)
ENCODED = [
    ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
    ('say "no" 100%', "say%20%22no%22%20100%25"),
    ("plain-~!#$&'()*+,/:;=?@[]{}|\\^`", "plain-~!#$&'()*+,/:;=?@[]{}|\\^`"),
]
OTHERS = ("content-type", "ce-time", "ce-hlc", "ce-x")
REFUSED = {
    "nothing": ({}, "is no event"),
    "no id": ({**MINIMAL, "ce-id": ""}, "id is empty"),
    "other version": ({**MINIMAL, "ce-specversion": "0.3"}, "specversion"),
    "no type": ({name: value for name, value in MINIMAL.items() if name != "ce-type"}, "'type' is missing"),
    "half a character": ({**MINIMAL, "ce-subject": "%C3"}, "not UTF-8"),
    "surrogate": ({**MINIMAL, "ce-subject": "%ED%A0%80"}, "not UTF-8"),
    "control character": ({**MINIMAL, "ce-subject": "a%00"}, "control character"),
    "payload as a header": ({**MINIMAL, "ce-data": "{}"}, "body of the message"),
    "payload as text": ({**MINIMAL, "ce-data_base64": "AA=="}, "body of the message"),
    "name": ({**MINIMAL, "ce-my_ext": "x"}, "no attribute name"),
    "batch": ({"content-type": "application/cloudevents-batch+json"}, "is not read"),
    "xml": ({"content-type": "application/cloudevents+xml"}, "is not read"),
}


@given(envelopes)
def test_an_event_survives_the_way_in_binary_mode(envelope: Envelope) -> None:
    headers = to_headers(envelope)
    assert all(value.isascii() and value.isprintable() and not set(value) & set(' "') for value in headers.values())
    assert from_message(headers, envelope.data) == envelope


@given(envelopes)
def test_an_event_survives_the_way_in_structured_mode(envelope: Envelope) -> None:
    headers = {"Content-Type": "Application/CloudEvents+JSON; charset=UTF-8"}
    assert from_message(headers, to_json(envelope)).id == envelope.id
    assert to_json(from_message(headers, to_json(envelope))) == to_json(envelope)


def test_the_attributes_are_the_headers_and_the_payload_is_the_body() -> None:
    envelope = Envelope(id="1", source="//x/shop", type="shop.placed", time=datetime(2024, 5, 6, tzinfo=UTC), hlc=5)
    assert to_headers(envelope) == {
        **MINIMAL,
        "ce-time": "2024-05-06T00:00:00Z",
        "ce-hlc": "5",
        "ce-datacontenttype": "application/json",
        "content-type": "application/json",
    }


@pytest.mark.parametrize(("value", "encoded"), ENCODED)
def test_what_a_header_cannot_hold_is_percent_encoded(value: str, encoded: str) -> None:
    envelope = Envelope(id="1", source="/s", type="t", subject=value)
    assert to_headers(envelope)["ce-subject"] == encoded
    for sent in (encoded, re.sub("%..", lambda found: found[0].lower(), encoded)):
        assert from_message({**MINIMAL, "ce-subject": sent}, b"").subject == value


def test_what_others_send_is_understood_too() -> None:
    headers = {**{name.upper(): value for name, value in MINIMAL.items()}, "CE-Subject": '"a \\"b\\" %c3%bc"'}
    event = from_message({**headers, "Content-Type": " text/plain "}, b"\xff")
    assert (event.subject, event.datacontenttype, event.data) == ('a "b" ü', "text/plain", b"\xff")


def test_an_id_that_no_door_has_given_yet_is_left_out() -> None:
    assert "ce-id" not in to_headers(Envelope(id="", source="/s", type="t"))


@pytest.mark.parametrize("case", REFUSED)
def test_a_message_that_is_no_event_is_refused_with_the_reason(case: str) -> None:
    headers, reason = REFUSED[case]
    with pytest.raises(InvalidEvent) as caught:
        from_message(headers, b"")
    assert reason in str(caught.value)


def test_a_payload_has_the_size_that_a_door_lets_in() -> None:
    assert len(from_message(MINIMAL, b"x" * EVENT_BYTES_MAX).data) == EVENT_BYTES_MAX
    with pytest.raises(InvalidEvent, match="bytes, of at most"):
        from_message(MINIMAL, b"x" * (EVENT_BYTES_MAX + 1))


@given(
    st.dictionaries(st.sampled_from([*MINIMAL, "content-type", "ce-time", "ce-hlc", "ce-x"]), st.text()), st.binary()
)
def test_whatever_comes_is_an_event_or_refused(headers: dict[str, str], data: bytes) -> None:
    try:
        event = from_message({**MINIMAL, **headers}, data)
    except InvalidEvent:
        return
    assert msgspec.structs.replace(from_message(to_headers(event), event.data), time=event.time) == event

"""Envelopes: CloudEvents JSON there and back, what is refused, ids and the hybrid clock."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import InvalidEvent
from onstage.events.envelope import (
    EVENT_BYTES_MAX,
    ID_BYTES_MAX,
    JSON_DEPTH_MAX,
    KEY_BYTES_MAX,
    NAME_BYTES_MAX,
    Envelope,
    EventId,
    check_depth,
    check_extension,
    check_size,
    from_json,
    hlc_ms,
    hlc_next,
    to_json,
)

MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "//x/shop", "type": "shop.placed"}
words = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)
instants = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))  # noqa: DTZ001 - hypothesis adds UTC
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
envelopes = st.builds(
    Envelope,
    id=words,
    source=words,
    type=words,
    subject=st.none() | words,
    time=st.none() | instants,
    dataschema=st.none() | words,
    correlationid=st.none() | words,
    causationid=st.none() | words,
    sequence=st.none() | words,
    expirytime=st.none() | instants,
    topology=st.none() | st.integers(0, 2**31 - 1),
    hlc=st.none() | st.integers(0, 2**63 - 1),
    generation=st.none() | st.integers(0, 2**31 - 1),
    data=payloads.map(msgspec.json.encode),
    extensions=st.dictionaries(st.sampled_from(["foo", "x1", "tenant"]), words, max_size=2),
)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"id": None}, "'id' is missing"),
    "no source": ({"source": None}, "'source' is missing"),
    "no type": ({"type": None}, "'type' is missing"),
    "empty id": ({"id": ""}, "id is empty"),
    "number as id": ({"id": 5}, "id is int"),
    "other version": ({"specversion": "0.3"}, "specversion"),
    "long type": ({"type": "x" * (NAME_BYTES_MAX + 1)}, "type has 256 bytes"),
    "long subject": ({"subject": "ü" * KEY_BYTES_MAX}, "subject has"),
    "long id": ({"id": "x" * (ID_BYTES_MAX + 1)}, "id has"),
    "control character": ({"subject": "a\nb"}, "control character"),
    "naive time": ({"time": "2024-01-01T00:00:00"}, "time is not an RFC 3339"),
    "no time": ({"time": "yesterday"}, "time is not an RFC 3339"),
    "upper-case attribute": ({"Tenant": "x"}, "no attribute name"),
    "attribute with underscore": ({"my_ext": "x"}, "no attribute name"),
    "object as extension": ({"ext": {}}, "ext is neither"),
    "float as extension": ({"ext": 1.5}, "ext is neither"),
    "64 bits as extension": ({"ext": 2**40}, "ext is neither"),
    "text as integer": ({"topology": "many"}, "topology is 'many'"),
    "negative generation": ({"generation": -1}, "out of range"),
    "topology of 64 bits": ({"topology": 2**40}, "out of range"),
    "both kinds of data": ({"data": 1, "data_base64": "AA=="}, "not both"),
    "no base64": ({"data_base64": "%%%"}, "data_base64"),
    "object as text": ({"data": {}, "datacontenttype": "text/plain"}, "must be text"),
    "too large": ({"data": "x" * EVENT_BYTES_MAX}, "bytes, of at most"),
}


def kind_of(value: object) -> str:
    return type(value).__name__  # the value itself may be too large for the name of a test


@given(envelopes)
def test_an_envelope_survives_the_round_trip(envelope: Envelope) -> None:
    assert from_json(to_json(envelope)) == envelope


@given(envelopes)
def test_parsed_json_means_the_same_as_its_text(envelope: Envelope) -> None:
    document = to_json(envelope)
    parsed = from_json(json.loads(document))
    assert json.loads(parsed.data) == json.loads(envelope.data)
    assert msgspec.structs.replace(parsed, data=b"") == msgspec.structs.replace(envelope, data=b"")


@given(st.binary(min_size=1))
def test_any_bytes_survive_whatever_the_content_type_claims(data: bytes) -> None:
    for kind in ("application/octet-stream", "application/json"):
        envelope = Envelope(id="1", source="s", type="t", datacontenttype=kind, data=data)
        document = to_json(envelope)
        json.loads(document)
        assert from_json(document) == envelope


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_event_is_refused_with_the_reason(case: str) -> None:
    change, reason = REFUSED[case]
    document = {name: value for name, value in {**MINIMAL, **change}.items() if value is not None}
    for given_as in (document, json.dumps(document).encode()):
        with pytest.raises(InvalidEvent) as caught:
            from_json(given_as)
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"nonsense", b'{"id":1', b"\xff", b'{"data":' + b"[" * 100_000, b" " * (3 << 20)]
)
def test_text_that_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidEvent):
        from_json(text)


def test_data_that_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="data is not JSON"):
        from_json({**MINIMAL, "data": object()})


def test_a_payload_at_the_limit_passes_and_a_larger_one_says_why() -> None:
    check_size("shop.placed", bytes(EVENT_BYTES_MAX))
    check_size("shop.placed", bytes(3), 3)
    with pytest.raises(InvalidEvent, match=r"shop\.placed: the payload has 4 bytes\n  why: the limit is 3\n  to do: "):
        check_size("shop.placed", bytes(4), 3)
    with pytest.raises(InvalidEvent):
        check_size("shop.placed", bytes(EVENT_BYTES_MAX + 1))


def test_depth_is_limited_and_brackets_in_strings_do_not_count() -> None:
    check_depth(b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX)
    check_depth(b'["' + b"[" * 1000 + b'\\""]')
    check_depth(b"[" + b",".join([b"[]"] * 1000) + b"]")
    with pytest.raises(InvalidEvent, match="deeper than"):
        check_depth(b"[" * (JSON_DEPTH_MAX + 1))
    with pytest.raises(InvalidEvent, match="deeper than"):
        from_json(json.dumps(MINIMAL)[:-1].encode() + b',"data":' + b"[" * 300 + b"]" * 300 + b"}")


def test_an_absent_id_is_allowed_only_where_it_is_asked_for() -> None:
    without = {name: value for name, value in MINIMAL.items() if name != "id"}
    assert from_json(without, id_required=False).id == ""
    assert b'"id"' not in to_json(from_json(without, id_required=False))
    with pytest.raises(InvalidEvent, match="id"):
        from_json(without)


def test_only_what_has_a_value_is_written_and_the_clock_is_text() -> None:
    document = json.loads(to_json(Envelope(id="1", source="s", type="t", hlc=2**50, topology=3, data=b'{"a": 1}')))
    assert document == {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "t",
        "datacontenttype": "application/json",
        "hlc": str(2**50),
        "topology": 3,
        "data": {"a": 1},
    }


def test_the_payload_is_kept_verbatim() -> None:
    text = json.dumps(MINIMAL)[:-1].encode() + b', "data": {"b" :1.0, "a":[ ] }}'
    assert from_json(text).data == b'{"b" :1.0, "a":[ ] }'


def test_a_foreign_event_is_understood_by_the_rules_of_cloudevents() -> None:
    foreign = {
        **MINIMAL,
        "flag": True,
        "count": 5,
        "tenant": "t1",
        "subject": None,
        "time": "2024-01-01T01:00:00+01:00",
    }
    envelope = from_json({**foreign, "datacontenttype": "text/plain", "data": "hello", "topology": "7"})
    assert envelope.extensions == {"flag": "true", "count": "5", "tenant": "t1"}
    assert envelope.time == datetime(2024, 1, 1, tzinfo=UTC)
    assert (envelope.data, envelope.topology, envelope.subject) == (b"hello", 7, None)
    encoded = from_json({**MINIMAL, "data_base64": base64.b64encode(b'{"a":1}').decode()})
    assert encoded.data == b'{"a":1}'
    parsed = from_json({**MINIMAL, "time": datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1)))})
    assert parsed.time is not None


@given(st.text(min_size=1), st.text("abc123", min_size=1), st.integers(0, 2**63))
def test_an_id_is_parsed_from_its_text(store: str, incarnation: str, n: int) -> None:
    made = EventId(store, incarnation, n)
    assert EventId.parse(str(made)) == made


@pytest.mark.parametrize(
    "text", ["", "a", "a-b", "a-b-", "-b-1", "a--1", "a-b-x", "a-b-01", "a-b-²", "a-b-" + "9" * 99]
)
def test_a_foreign_id_is_not_taken_for_ours(text: str) -> None:
    with pytest.raises(InvalidEvent, match="store-incarnation-number"):
        EventId.parse(text)


@given(st.integers(0, 2**62), st.integers(0, 2**45))
def test_the_clock_always_moves_and_never_lags_behind_time(last: int, now_ms: int) -> None:
    clock = hlc_next(last, now_ms)
    assert clock > last
    assert hlc_ms(clock) >= now_ms


@pytest.mark.timeout(20)  # from every quote once more it would be hours
def test_depth_is_found_in_one_pass_over_text_that_is_no_json() -> None:
    escapes = b'\\"' * ((EVENT_BYTES_MAX - 500) // 2)
    check_depth(b'"' + b"[" * 300 + escapes)  # one string without an end
    with pytest.raises(InvalidEvent, match="deeper than 200"):
        check_depth(b"[" * 300 + b'"' + escapes)


DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value", [10**5_000, -(10**5_000), DEEP, {"a": 10**5_000}, "x" * 1_000_000, b"x" * 1_000_000], ids=kind_of
)
@pytest.mark.parametrize("name", ["specversion", "topology", "hlc", "id", "time", "datacontenttype", "extra"])
def test_what_is_refused_is_not_shown_in_full(name: str, value: object) -> None:
    with pytest.raises(InvalidEvent) as refused:
        from_json({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", name: value})
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("name", [5, "Big", "", "a_b", "x" * 65])
def test_an_extension_has_a_name_that_cloud_events_allows(name: Any) -> None:
    with pytest.raises(InvalidEvent, match="is no attribute name"):
        from_json({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", name: "x"})


@pytest.mark.parametrize("name", ["specversion", "data", "id", "hlc"])
def test_an_extension_cannot_stand_in_for_an_attribute(name: str) -> None:
    with pytest.raises(InvalidEvent, match="cannot be the name of an extension"):
        check_extension(name, "x")

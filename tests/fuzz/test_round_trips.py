"""Whatever can be written is read again as it was: values drawn from all there are."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.fuzz.decoders import ENTRIES, IDENTITY, REQUESTS, row
from tests.fuzz.trial import CASES

from onstage.core.journal import decode_entry, encode_entry
from onstage.events.codec import canonical, codec_for
from onstage.events.duration import DURATION_S_MAX, seconds
from onstage.events.envelope import Envelope, EventId, from_json, to_json
from onstage.events.receipt import Receipt, decode_receipts, encode_receipts
from onstage.events.topic import Topic
from onstage.runtime import door_messages as door
from onstage.runtime.wire import check_outside, from_outside, to_envelope

often = settings(max_examples=300, derandomize=True, database=None, deadline=None)
PRINTED: Final = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)
BLANKS: Final = st.sampled_from([b"", b"", b" ", b"\t", b"\r\n", b" \n ", b"\v"])
INSTANTS: Final = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
BASIC: Final[dict[Any, st.SearchStrategy[Any]]] = {
    str: st.text(max_size=40),
    int: st.integers(0, (1 << 63) - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    NoneType: st.none(),
}
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), 1 << 64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def drawn_from(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation as the stored and sent structs have them."""
    if annotation in BASIC:
        return BASIC[annotation]
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return st.floats(0, DURATION_S_MAX) if arguments[0] is float else drawn_from(arguments[0])
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return st.one_of(*map(drawn_from, arguments))
    if get_origin(annotation) is tuple and arguments[-1] is ...:
        return st.lists(drawn_from(arguments[0]), max_size=4).map(tuple)
    if get_origin(annotation) is tuple:
        return st.tuples(*map(drawn_from, arguments))
    if get_origin(annotation) is dict:
        return st.dictionaries(*map(drawn_from, arguments), max_size=4)
    return of_kind(annotation)


def of_kind(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of a struct."""
    hints = get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{name: drawn_from(hints[name]) for name in cls.__struct_fields__})


def counted(name: str) -> None:
    CASES[f"values: {name}"] += 1


@pytest.mark.parametrize("kind", [type(entry) for entry in ENTRIES])
def test_an_entry_is_stored_as_it_is(kind: type[Any]) -> None:
    @settings(often, max_examples=60)
    @given(of_kind(kind))
    def check(entry: Any) -> None:
        counted("journal entry")
        assert decode_entry(encode_entry(entry)) == entry

    check()


@often
@given(st.lists(of_kind(Receipt), max_size=4))
def test_receipts_are_stored_as_they_are(receipts: list[Receipt]) -> None:
    counted("receipts")
    assert decode_receipts(encode_receipts(receipts)) == tuple(receipts)


@pytest.mark.parametrize("kind", [type(request) for request in REQUESTS])
def test_a_request_arrives_as_it_was_sent(kind: type[Any]) -> None:
    @settings(often, max_examples=60)
    @given(of_kind(kind), st.binary(max_size=9))
    def check(request: Any, behind: bytes) -> None:
        counted("request")
        assert asyncio.run(first_and_rest(door.frame(request) + behind)) == (request, behind)

    check()


async def first_and_rest(sent: bytes) -> tuple[door.Request, bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    body = await door.receive(reader)
    assert body is not None
    return door.request_in(body), await reader.read()


@often
@given(
    st.builds(
        Envelope,
        id=PRINTED,
        source=PRINTED,
        type=PRINTED,
        subject=st.none() | PRINTED,
        time=st.none() | INSTANTS,
        datacontenttype=st.sampled_from([None, "application/json", "text/plain", "application/x+json; charset=utf-8"]),
        dataschema=st.none() | PRINTED,
        partitionkey=st.none() | PRINTED,
        sequence=st.none() | PRINTED,
        expirytime=st.none() | INSTANTS,
        topology=st.none() | st.integers(0, (1 << 31) - 1),
        hlc=st.none() | st.integers(0, (1 << 63) - 1),
        data=st.tuples(BLANKS, JSON.map(msgspec.json.encode), BLANKS).map(b"".join) | st.binary(max_size=60),
        extensions=st.dictionaries(st.from_regex(r"x[a-z0-9]{0,20}", fullmatch=True), PRINTED, max_size=3),
    )
)
def test_an_envelope_is_read_as_it_was_written(envelope: Envelope) -> None:
    counted("envelope")
    assert from_json(to_json(envelope)) == envelope
    extra = from_outside(envelope)
    check_outside(extra)
    shown = to_envelope(row(extra), IDENTITY, "//shop")
    for name in ("id", "source", "dataschema", "sequence", "expirytime", "extensions"):
        assert getattr(shown, name) == getattr(envelope, name)
    assert shown.time == envelope.time or envelope.time is None


@settings(often, max_examples=100)
@given(JSON)
def test_any_json_is_read_as_it_was_written(value: Any) -> None:
    counted("payload")
    codec = codec_for(Any)
    assert codec.read(codec.encode(value)) == value
    assert codec.read(canonical(value)) == value


@often
@given(PRINTED, st.from_regex(r"[^-]+", fullmatch=True), st.integers(0, (1 << 63) - 1))
def test_an_id_is_read_as_it_was_written(store: str, incarnation: str, n: int) -> None:
    counted("event id")
    known = EventId(store, incarnation, n)
    assert EventId.parse(str(known)) == known


@often
@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,9}|\*", fullmatch=True), min_size=1, max_size=9), st.booleans())
def test_a_topic_is_read_as_it_was_written(tokens: list[str], with_rest: bool) -> None:
    counted("topic")
    topic = Topic(".".join([*tokens, ">"] if with_rest else tokens))
    assert Topic(str(topic)) == topic
    name = ".".join("x" if token == "*" else token for token in tokens)
    assert topic.matches(f"{name}.more" if with_rest else name) is not name.startswith("onstage.")


@often
@given(st.integers(0, 86_400_000 * 365))
def test_a_duration_is_read_as_it_was_written(ms: int) -> None:
    counted("duration")
    days, rest = divmod(ms, 86_400_000)
    assert seconds(f"{days}d{rest}ms") == pytest.approx(seconds(timedelta(milliseconds=ms)), abs=1e-6)


def test_a_lossy_codec_is_found() -> None:
    @settings(often, phases=[Phase.generate])
    @given(of_kind(Receipt))
    def check(receipt: Receipt) -> None:
        (stored,) = decode_receipts(encode_receipts([receipt]))
        assert msgspec.structs.replace(stored, until=None) == receipt

    with pytest.raises(AssertionError):
        check()

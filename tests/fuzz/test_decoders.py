"""Whatever a decoder is given, it round-trips or raises its one declared error, within limits of time and memory."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.fuzz.decoders import DECODERS, DOCUMENTS
from tests.fuzz.hostile import json_values, packed_values
from tests.fuzz.mutation import PACKED_TOKENS, Mutator
from tests.fuzz.trial import ERROR_CHARS_MAX, Broken, Decoder, attempt, attempt_all

from onstage.errors import InvalidEvent
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import EVENT_BYTES_MAX, Envelope, from_json, to_json
from onstage.events.receipt import Receipt

SEED = 20_260_101
MUTATIONS = 8_000
LARGE = 60_000
MEASURED = 5
MEMORY_PER_BYTE_MAX = 100
"""An empty list of two bytes takes 64 in Python, its place in another list 8 more, twice while that one grows."""

every_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
BY_NAME = {decoder.name: decoder for decoder in DECODERS}


def places(decoder: Decoder) -> tuple[bytes, ...]:
    """Where a hostile value is put: alone, and in the place of each value of a sample."""
    if decoder.name in {"envelope", "parsed envelope", "event line"}:
        names = ("specversion", "id", "time", "hlc", "datacontenttype", "other", "data", "data_base64")
        head = {"specversion": "1.0", "id": "1", "source": "/s", "type": "placed"}
        return (b"@", *(json.dumps(head | {name: "@"}).encode().replace(b'"@"', b"@") for name in names))
    if decoder.name.startswith("attributes"):
        return (b"@", b'{"id":@}', b'{"time":@}', b'{"extensions":@}', b'{"extensions":{"a":@}}', b'{"other":@}')
    if decoder.name.startswith("payload"):
        return (b"@", b'{"id":@}', b'{"id":"1","anything":@}', b'{"id":"1","seen":@,"whatever":@}', b'{"inner":@}')
    return (b"@",)


def hostile(decoder: Decoder) -> Iterator[bytes]:
    """All hostile inputs that concern this decoder."""
    values = list(packed_values() if decoder.tokens is PACKED_TOKENS else json_values())
    for place in places(decoder):
        large_too = place in {b"@", places(decoder)[-1], places(decoder)[-2:][0]}
        yield from (place.replace(b"@", value) for value in values if large_too or len(value) < LARGE)


@every_decoder
def test_valid_samples_are_accepted(decoder: Decoder) -> None:
    assert attempt_all(decoder, decoder.samples) == (len(decoder.samples), 0)


@every_decoder
def test_a_changed_sample_round_trips_or_is_refused(decoder: Decoder) -> None:
    mutator = Mutator(SEED, decoder.samples, decoder.tokens)
    accepted, refused = attempt_all(decoder, (mutator.next() for _ in range(MUTATIONS)))
    assert accepted > MUTATIONS // 200, "the changes are too wild to reach what lies behind the parser"
    assert refused > MUTATIONS // 200, "the changes are too tame"


@every_decoder
def test_a_hostile_value_round_trips_or_is_refused(decoder: Decoder) -> None:
    _, refused = attempt_all(decoder, hostile(decoder))
    assert refused > 10


@every_decoder
def test_the_same_input_has_the_same_answer(decoder: Decoder) -> None:
    first, second = (Mutator(7, decoder.samples, decoder.tokens) for _ in range(2))
    inputs = [first.next() for _ in range(50)]
    assert inputs == [second.next() for _ in range(50)]
    assert [attempt(decoder, data) for data in inputs] == [attempt(decoder, data) for data in inputs]


@pytest.mark.parametrize("name", ["envelope", "event line", "payload depth", "payload 1", "payload 7", "reply"])
def test_memory_stays_in_proportion_to_the_input(name: str) -> None:
    decoder = BY_NAME[name]
    large = [data for data in hostile(decoder) if len(data) >= LARGE]
    assert len(large) >= MEASURED
    for data in large[:: len(large) // MEASURED]:
        tracemalloc.start()
        try:
            attempt(replace(decoder, again=lambda _: None), data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MEMORY_PER_BYTE_MAX * len(data), f"{peak} bytes for {len(data)}: {data[:40]!r}"


def test_of_names_that_come_twice_the_last_one_counts_everywhere() -> None:
    twice = DOCUMENTS[0].replace(b'"id":"1"', b'"id":"first","id":"last"').replace(b"7}", b'7,"amount":8}')
    envelope = from_json(twice)
    assert envelope.id == json.loads(twice)["id"] == "last"
    assert msgspec.json.decode(envelope.data)["amount"] == json.loads(envelope.data)["amount"] == 8


# --- limits, and one more ---------------------------------------------------------------------------------


def document(**attributes: Any) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} | attributes).encode()


def padded(size: int) -> bytes:
    return document(data="@").replace(b"@", b"x" * (size - len(document(data=""))))


LIMITS = {
    "id": (lambda n: document(id="x" * n), 255),
    "id in bytes": (lambda n: document(id="é" * (n // 2) + "x" * (n % 2)), 255),
    "type": (lambda n: document(type="x" * n), 255),
    "subject": (lambda n: document(subject="x" * n), 512),
    "partitionkey": (lambda n: document(partitionkey="x" * n), 512),
    "source": (lambda n: document(source="x" * n), 4_096),
    "an extension": (lambda n: document(branch="x" * n), 4_096),
    "the name of an extension": (lambda n: document(**{"x" * n: "y"}), 64),
    "a whole number": (lambda n: document(topology=n), (1 << 31) - 1),
    "the clock": (lambda n: document(hlc=str(n)), (1 << 63) - 1),
    "an extension that is a number": (lambda n: document(floor=n), (1 << 31) - 1),
    "depth": (lambda n: document(data="@").replace(b'"@"', b"[" * n + b"]" * n), 200),
    "the payload": (lambda n: document(data="x" * (n - 2)), EVENT_BYTES_MAX),
    "the payload as base64": (lambda n: document(data_base64=msgspec.to_builtins(b"x" * n)), EVENT_BYTES_MAX),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_at_the_limit_is_accepted_and_one_more_is_refused(limit: Any) -> None:
    made, most = limit
    for n in (most - 1, most):
        assert isinstance(from_json(made(n)), Envelope)
    with pytest.raises(InvalidEvent):
        from_json(made(most + 1))


def test_a_document_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(InvalidEvent, match="the payload has"):
        from_json(padded(2 * EVENT_BYTES_MAX))
    with pytest.raises(InvalidEvent, match="the document has"):
        from_json(padded(2 * EVENT_BYTES_MAX + 1))


# --- the harness itself -----------------------------------------------------------------------------------


def found(decoder: Decoder) -> str:
    """What the harness says about a decoder with a planted fault."""
    mutator = Mutator(SEED, decoder.samples, decoder.tokens)
    with pytest.raises(Broken) as broken:
        attempt_all(decoder, (mutator.next() for _ in range(MUTATIONS)))
    return str(broken.value)


def test_another_exception_is_found() -> None:
    bare = replace(BY_NAME["receipts"], decode=msgspec.msgpack.Decoder(tuple[Receipt, ...]).decode)
    assert "receipts: DecodeError for" in found(bare)
    deep = replace(BY_NAME["request number"], decode=leaky)
    assert "request number: RecursionError for" in found(deep)


def leaky(body: bytes) -> int:
    """A decoder that forgot about depth."""
    try:
        return msgspec.msgpack.decode(body, type=dict[str, Any])["at"]  # type: ignore[no-any-return]
    except (ValueError, LookupError) as error:
        raise DecodeFailed from error


def test_an_attribute_that_is_lost_on_the_way_is_found() -> None:
    def forgetful(envelope: Envelope) -> None:
        assert from_json(to_json(msgspec.structs.replace(envelope, expirytime=None))) == envelope

    assert "not the same there and back" in found(replace(BY_NAME["envelope"], again=forgetful))


def test_work_that_grows_with_the_square_is_found() -> None:
    def slow(data: bytes) -> None:
        for place in range(data.count(b"\\")):
            data.find(b"\0", place)

    with pytest.raises(Broken, match="s of CPU"):
        attempt_all(replace(BY_NAME["payload depth"], decode=slow), json_values())


def test_an_error_that_repeats_its_input_is_found() -> None:
    def talkative(data: bytes) -> None:
        raise InvalidEvent(repr(data))

    with pytest.raises(Broken, match="an error of"):
        attempt_all(replace(BY_NAME["envelope"], decode=talkative), json_values())
    assert ERROR_CHARS_MAX < EVENT_BYTES_MAX

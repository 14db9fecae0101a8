"""Every decoder of what strangers send or disks return, with the one error it declares and samples it accepts."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

import msgspec
from tests.fuzz.mutation import JSON_TOKENS, PACKED_TOKENS, TEXT_TOKENS
from tests.fuzz.spoken import VALUES, Everything, Placed, Priced, Ratio
from tests.fuzz.trial import Decoder

from onstage.cli.event_lines import BadLine, Line, read_lines
from onstage.core import journal
from onstage.core.identity import Identity
from onstage.core.journal import decode_entry, encode_entry
from onstage.errors import DefinitionError, InvalidEvent, OperationError
from onstage.events.binding import from_message, to_headers
from onstage.events.codec import Codec, DecodeFailed, codec_for
from onstage.events.duration import DURATION_S_MAX, seconds
from onstage.events.envelope import Envelope, EventId, check_depth, from_json, to_json
from onstage.events.event import define_event
from onstage.events.receipt import Receipt, decode_receipts, encode_receipts
from onstage.events.topic import Topic
from onstage.observe.verdict import Verdict
from onstage.ports.store import EventView
from onstage.runtime import door_messages as door
from onstage.runtime.wire import check_outside, from_outside, to_envelope

__all__ = ["DECODERS", "DOCUMENTS", "ENTRIES", "IDENTITY", "REQUESTS"]

IDENTITY: Final = Identity("store", ((1, "one"), (9, "two")))
TYPES: Final = {
    known.name: known
    for known in (
        define_event(Placed, name="placed", key="id"),
        define_event(Everything, name="everything", key="price"),
        define_event(Priced, name="priced", key="id"),
        define_event(Ratio, name="ratio"),
    )
}
DOCUMENTS: Final = (
    b'{"specversion":"1.0","id":"1","source":"//shop","type":"placed","data":{"id":"o1","amount":7}}',
    b'{"specversion":"1.0","id":"2","source":"/s","type":"placed","datacontenttype":"text/plain","data":"hello"}',
    (
        b'{"specversion":"1.0","id":"3","source":"/s","type":"placed","data_base64":"eyJpZCI6ICJvMSJ9","subject":"o1",'
        b'"time":"2020-01-01T00:00:00.5+01:00","hlc":"92233720368547758","topology":3,"generation":1,"sequence":"5"}'
    ),
    (
        b'{"specversion":"1.0","id":"4","source":"/s","type":"ratio","datacontenttype":"application/x+json",'
        b'"branch":"a","urgent":true,"floor":-3,"traceparent":"00-1","expirytime":"2030-01-01T00:00:00Z",'
        b'"data":{"part":1,"whole":2}}'
    ),
    b'{"specversion":"1.0","id":"6","source":"/s","type":"placed","data_base64":"CXsiaWQiOiJvMSJ9IA0K"}',
    (
        b'{"specversion":"1.0","id":"5","source":"/s","type":"everything","partitionkey":"\xc3\xa9",'
        b'"dataschema":"https://x/y","data":%b}' % codec_for(Everything).encode(Everything("e"))
    ),
)
ENTRIES: Final[tuple[journal.Entry, ...]] = (
    journal.Begun("a#0", 1, "undo", b"c"),
    journal.Attempted("a#0", 1, 2, 1 << 40, "no", 4),
    journal.Stepped("2/a#0", 1, b"r" * 40, 1 << 62, 1, 9, "undo", b"c"),
    journal.Failed("a#0", 1, "shop.SoldOut", b"[1]", "no", 3),
    journal.Transacted("a#0", 1, b"r", 5),
    journal.Emitted("emit x#0", 1, 7),
    journal.WaitOpened("a#0", ("x", "y"), None),
    journal.WaitEnded("a#0", 7, "x", b"d"),
    journal.SleepOpened("a#0", 9),
    journal.Slept("a#0"),
    journal.Valued("a#0", b"v"),
    journal.Rejected("reject", "no"),
    journal.Undone("a#0"),
)
RECEIPTS: Final[tuple[Receipt, ...]] = (
    Receipt(1, 2, 3, 0, 6, 99, b"d" * 16),
    Receipt(1 << 40, 2, 65_535, 7, 12, 1 << 62, bytes(16), ((4, 5), (6, 7)), 10, 11, 2, "no", 12),
)
EVENT: Final = {"type": "a", "data": b"{}", "id": "1", "source": None, "process": "p", "extra": b'{"id":"1"}'}
REQUESTS: Final[tuple[door.Request, ...]] = (
    door.Ping(at=1),
    door.MakeWay(at=2),
    door.Emit(at=3, event=door.Emit.of(**EVENT).event),
    door.EmitAll(at=6, events=door.EmitAll.of([EVENT, EVENT], go_on=False).events, go_on=True),
    door.AskVerdict(at=4, process="p", timeout_s=1.5),
    door.Operate(at=5, action="retry", execution=1 << 40),
    door.Manage(at=7, action="replay", handler="shop.bill", options={"after": 1 << 40}),
)
REPLIES: Final = (
    door.Reply(1, "p"),
    door.Reply(2, door.Pong(7, True, door.PROTOCOL)),
    door.Reply(6, ["p", ("DuplicateId", "no")]),
    door.Reply(3),
    door.Reply(4, error=("UsageError", "no")),
)
PONGS: Final = (door.Pong(7, True, door.PROTOCOL), door.Pong(1 << 40, False, door.PROTOCOL))
ANSWERS: Final = (["p"], ["p", ("DuplicateId", "no"), "q"])
VERDICTS: Final = (Verdict("stuck", None, ("a", "b")), Verdict("completed", "shop.paid"))


def bodies(messages: tuple[Any, ...]) -> tuple[bytes, ...]:
    """What is in the frames of these messages."""
    return tuple(door.frame(message)[4:] for message in messages)


def packed(values: tuple[Any, ...]) -> tuple[bytes, ...]:
    """These values as they lie in a reply."""
    return tuple(map(msgspec.msgpack.encode, values))


# --- from bytes -------------------------------------------------------------------------------------------


def parsed_envelope(data: bytes) -> Envelope:
    """As another library would parse it: with NaN, half characters and the last of equal names."""
    try:
        document = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise InvalidEvent("no JSON for the standard library") from None
    if not isinstance(document, dict):
        raise InvalidEvent("no object")
    return from_json(document)


def message(data: bytes) -> Envelope:
    """A message of a broker: lines of headers, an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    pairs = (text_of(line).partition(": ") for line in head.split(b"\n"))
    return from_message({name: value for name, _, value in pairs}, body)


def line(data: bytes) -> Line:
    """The one line of a file, or the reason why it is refused."""
    answers = list(read_lines(BytesIO(data.replace(b"\n", b" ")), TYPES))
    assert len(answers) <= 1
    if not answers:
        raise InvalidEvent("blank")
    if isinstance(answers[0], BadLine):
        raise answers[0].error
    return answers[0]


def row(extra: bytes) -> EventView:
    """A stored event with these attributes from outside."""
    return EventView(5, 3, "placed", 1, "o1", 4 << 16 | 1, 1_700_000_000_000 << 16, 2, b'{"id":"o1"}', extra)


def let_in(extra: bytes) -> Envelope:
    """What the door lets in is shown later."""
    check_outside(extra)
    return to_envelope(row(extra), IDENTITY, "//shop")


def shown(extra: bytes) -> Envelope:
    """What a damaged row shows."""
    return to_envelope(row(extra), IDENTITY, "//shop")


def text_of(data: bytes) -> str:
    """Any text there can be in Python, half characters included."""
    return data.decode("utf-8", "surrogateescape") if len(data) % 2 else data.decode("latin-1")


def requested(body: bytes) -> door.Request:
    """As the node reads it."""
    return door.request_in(body)


def answered_as(type_: Any) -> Callable[[bytes], Any]:
    """As the client reads the value of a reply."""

    def answered(body: bytes) -> Any:
        try:
            value = msgspec.msgpack.decode(body)
        except (ValueError, RecursionError):
            raise OperationError("no MessagePack") from None
        return door.answer_as(type_, value)

    return answered


def named(data: bytes) -> int:
    """A public id of a process, as people give it."""
    number = IDENTITY.local(text_of(data))
    if number is None:
        raise LookupError("no such process")
    return number


# --- there and back ---------------------------------------------------------------------------------------


def same_envelope(envelope: Envelope) -> None:
    """Written and read once more it is the same."""
    assert from_json(to_json(envelope), id_required=bool(envelope.id)) == envelope


def same_message(envelope: Envelope) -> None:
    """As a message it is the same."""
    assert from_message(to_headers(envelope), envelope.data) == envelope


def same_value(codec: Codec[Any]) -> Any:
    """Written and read once more it is written the same way; values themselves may be NaN."""

    def again(value: Any) -> None:
        data = codec.encode(value)
        assert codec.encode(codec.read(data)) == data

    return again


def same_outside(envelope: Envelope) -> None:
    """It goes out as JSON, and came in as it went out."""
    assert let_in(from_outside(envelope)) == envelope
    assert from_json(to_json(envelope)).extensions == envelope.extensions


def a_duration(value: float) -> None:
    """It lies in its range."""
    assert 0 <= value <= DURATION_S_MAX
    assert seconds(value) == value


def a_topic(topic: Topic) -> None:
    """Its text makes an equal one, and it can be asked about any name."""
    assert Topic(str(topic)) == topic
    for name in (topic.pattern, "onstage.x", "a.b.c", "", ".", "\ud800"):
        assert topic.matches(name) in {True, False}
    assert topic.matches("a." * 50_000) in {True, False}


def an_id(known: EventId) -> None:
    """It is written as it was read."""
    assert EventId.parse(str(known)) == known


def a_line(known: Line) -> None:
    """It has what a door asks for."""
    assert known.envelope.id
    assert known.envelope.type in TYPES
    assert from_json(to_json(known.envelope)) == known.envelope


def same_request(request: door.Request) -> None:
    """It arrives as it was sent."""
    assert door.request_in(door.frame(request)[4:]) == request


def same_reply(reply: door.Reply) -> None:
    """It is sent as it came; NaN is not equal to itself, so what is sent is compared."""
    sent = door.frame(reply)
    assert door.frame(door.reply_in(sent[4:])) == sent


def same_entry(entry: journal.Entry) -> None:
    """It is stored as it was read."""
    assert decode_entry(encode_entry(entry)) == entry


def same_receipts(receipts: tuple[Receipt, ...]) -> None:
    """They are stored as they were read."""
    assert decode_receipts(encode_receipts(receipts)) == receipts


def same_number(number: int) -> None:
    """Its id leads back to it."""
    assert IDENTITY.local(IDENTITY.wire(number)) == number


def as_message(envelope: Envelope) -> bytes:
    """Its lines of headers and its body."""
    lines = "\n".join(f"{name}: {value}" for name, value in to_headers(envelope).items())
    return lines.encode() + b"\n\n" + envelope.data


MESSAGES: Final = (
    *(as_message(from_json(document)) for document in DOCUMENTS),
    b"Content-Type: application/cloudevents+json\n\n" + DOCUMENTS[0],
)
BUNDLES: Final = (encode_receipts(RECEIPTS), encode_receipts(RECEIPTS[1:]), encode_receipts(()))
OUTSIDE: Final = tuple(from_outside(from_json(document)) for document in DOCUMENTS)
SHORT: Final = (
    b'{"type":"placed","data":{"id":"o1"}}',
    b' {"id":"7","type":"priced","data":{"id":"p","price":"1.5"}} ',
)
IDS: Final = (b"store-one-5", b"store-two-9", b"store-two-123456789012345678", b"store-one-0")
DURATIONS: Final = (b"90s", b"1h30m", b"3d", b"200ms", b"1w2d3h4m5s6ms", b"0.5s")
TOPICS: Final = (b"shop.*", b"shop.>", b"*.paid", b">", b"shop.order-placed", b"onstage.>", b"*", "käse.*".encode())

DECODERS: Final[tuple[Decoder, ...]] = (
    Decoder("envelope", from_json, InvalidEvent, DOCUMENTS, JSON_TOKENS, same_envelope),
    Decoder("parsed envelope", parsed_envelope, InvalidEvent, DOCUMENTS, JSON_TOKENS, same_envelope),
    Decoder("message", message, InvalidEvent, MESSAGES, (*JSON_TOKENS, *TEXT_TOKENS), same_message),
    Decoder("event line", line, InvalidEvent, (DOCUMENTS[0], *DOCUMENTS[2:], *SHORT), JSON_TOKENS, a_line),
    Decoder("payload depth", check_depth, InvalidEvent, DOCUMENTS, JSON_TOKENS),
    Decoder("attributes at the door", let_in, InvalidEvent, OUTSIDE, JSON_TOKENS, same_outside),
    Decoder("attributes in a row", shown, DecodeFailed, OUTSIDE, JSON_TOKENS),
    Decoder("journal entry", decode_entry, DecodeFailed, tuple(map(encode_entry, ENTRIES)), PACKED_TOKENS, same_entry),
    Decoder("receipts", decode_receipts, DecodeFailed, BUNDLES, PACKED_TOKENS, same_receipts),
    Decoder("request number", door.request_number, DecodeFailed, bodies(REQUESTS), PACKED_TOKENS),
    Decoder("request", requested, OperationError, bodies(REQUESTS), PACKED_TOKENS, same_request),
    Decoder("reply", door.reply_in, DecodeFailed, bodies(REPLIES), PACKED_TOKENS, same_reply),
    Decoder("verdict", answered_as(Verdict), OperationError, packed(VERDICTS), PACKED_TOKENS),
    Decoder("answers", answered_as(door.Answers), OperationError, packed(ANSWERS), PACKED_TOKENS),
    Decoder("pong", answered_as(door.Pong), OperationError, packed(PONGS), PACKED_TOKENS),
    Decoder("event id", lambda data: EventId.parse(text_of(data)), InvalidEvent, IDS, TEXT_TOKENS, an_id),
    Decoder("process id", named, LookupError, IDS, TEXT_TOKENS, same_number),
    Decoder("duration", lambda data: seconds(text_of(data)), ValueError, DURATIONS, TEXT_TOKENS, a_duration),
    Decoder("topic", lambda data: Topic(text_of(data)), DefinitionError, TOPICS, TEXT_TOKENS, a_topic),
    *(
        Decoder(f"payload {n}", codec.read, DecodeFailed, (codec.encode(value),), JSON_TOKENS, same_value(codec))
        for n, (codec, value) in enumerate((codec_for(type_), value) for type_, value in VALUES)
    ),
)

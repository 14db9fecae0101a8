"""The envelope of an event: CloudEvents 1.0 attributes, ids, the hybrid clock, and the size limits.

Sources: CloudEvents 1.0.2 specification and JSON event format; hybrid logical clocks (Kulkarni et al., 2014)
in their one-integer form: milliseconds shifted by 16 bits, the low bits counting events within one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Annotated, Any, Final, cast, final

import msgspec

from onstage.errors import InvalidEvent

__all__ = [
    "EVENT_BYTES_MAX",
    "ID_BYTES_MAX",
    "JSON_DEPTH_MAX",
    "KEY_BYTES_MAX",
    "NAME_BYTES_MAX",
    "Envelope",
    "EventId",
    "check_attribute",
    "check_depth",
    "check_extension",
    "check_size",
    "from_json",
    "hlc_ms",
    "hlc_next",
    "to_json",
]

EVENT_BYTES_MAX: Final = 1 << 20
"""The largest payload, in bytes."""
KEY_BYTES_MAX: Final = 512
"""The longest key (``subject``, ``partitionkey``), in bytes of UTF-8."""
NAME_BYTES_MAX: Final = 255
"""The longest event name (``type``), in bytes of UTF-8."""
ID_BYTES_MAX: Final = 255
"""The longest event id, in bytes of UTF-8."""
JSON_DEPTH_MAX: Final = 200
"""How deep objects and arrays of a payload may nest."""

_HLC_BITS: Final = 16
_COUNT_DIGITS_MAX: Final = 19


@final
class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it travels: CloudEvents attributes and the payload as raw bytes.

    ``id`` is empty only before a door has given it one. ``data`` is the JSON text of the payload, or any
    bytes if ``datacontenttype`` says so. ``correlationid`` is the process, ``causationid`` the execution that
    emitted it, ``hlc`` the hybrid clock (ms << 16). Attributes not known here are text in ``extensions``.
    """

    id: str
    source: str
    type: str
    specversion: str = "1.0"
    subject: str | None = None
    time: datetime | None = None
    datacontenttype: str | None = "application/json"
    dataschema: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    partitionkey: str | None = None
    sequence: str | None = None
    expirytime: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    topology: int | None = None
    hlc: int | None = None
    rootservice: str | None = None
    scope: str | None = None
    generation: int | None = None
    data: bytes = b""
    extensions: dict[str, str] = msgspec.field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, order=True)
class EventId:
    """An id that Onstage draws: the store, the incarnation of its writer, and a counter within it.

    The text form is ``store-incarnation-n``; ``incarnation`` holds no hyphen, so it can be parsed back.
    """

    store: str
    incarnation: str
    n: int

    def __str__(self) -> str:
        """Return the text form."""
        return f"{self.store}-{self.incarnation}-{self.n}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Return the id whose text form is ``text``.

        Raises:
            InvalidEvent: if it is not one; ids of foreign events need not be.
        """
        store, incarnation, count = (["", "", *text.rsplit("-", 2)])[-3:]
        canonical = count.isascii() and count.isdecimal() and len(count) <= _COUNT_DIGITS_MAX
        if not (store and incarnation and canonical and str(int(count)) == count):
            raise InvalidEvent(f"id {_shown(text)} is not of the form store-incarnation-number")
        return cls(store, incarnation, int(count))


def hlc_next(last: int, now_ms: int) -> int:
    """Return the clock after ``last`` at the time ``now_ms`` (milliseconds since 1970): always greater."""
    time = now_ms << _HLC_BITS
    return time if time > last else last + 1


def hlc_ms(hlc: int) -> int:
    """Return the milliseconds since 1970 in ``hlc``."""
    return hlc >> _HLC_BITS


# --- the JSON event format --------------------------------------------------------------------------------


def to_json(envelope: Envelope) -> bytes:
    """Return the structured JSON event format of ``envelope``: attributes without a value left out.

    A JSON payload is inlined verbatim as ``data``; any other, one that is not JSON after all, or has blanks around it
    that a parser would drop, becomes ``data_base64``. ``hlc`` is written as text: a CloudEvents Integer has 32 bits.
    """
    document: dict[str, object] = {"specversion": envelope.specversion}
    for name in _ATTRIBUTES:
        value = getattr(envelope, name)
        if value is not None and (name != "id" or value):
            document[name] = value
    if envelope.hlc is not None:
        document["hlc"] = str(envelope.hlc)
    document.update(envelope.extensions)
    if not envelope.data:
        return msgspec.json.encode(document)
    if _says_json(envelope.datacontenttype) and _is_json(envelope.data) and envelope.data == envelope.data.strip():
        document["data"] = msgspec.Raw(envelope.data)
    else:
        document["data_base64"] = envelope.data  # msgspec writes bytes as base64
    return msgspec.json.encode(document)


def from_json(document: bytes | Mapping[str, object], *, id_required: bool = True) -> Envelope:
    """Return the envelope in a structured JSON event, given as text or already parsed.

    The payload of a text is kept verbatim. Extension attributes of unknown names are kept as text in
    ``extensions``. With ``id_required=False`` an absent id becomes the empty one.

    Raises:
        InvalidEvent: if a required attribute is missing, one has a wrong name, type or length, the version is
            not 1.0, or the payload is too large or nested too deep.
    """
    attributes, data = _split_text(document) if isinstance(document, bytes) else _split_parsed(document)
    present = {name: value for name, value in attributes.items() if value is not None}
    version = present.pop("specversion", None)
    if version != "1.0":
        raise InvalidEvent(f'specversion is {_shown(version)}, which must be "1.0"')
    required = ("id", "source", "type") if id_required else ("source", "type")
    for name in required:
        if name not in present:
            raise InvalidEvent(f"the required attribute {name!r} is missing")
    encoded = present.pop("data_base64", None)
    content_type = present.get("datacontenttype")
    known = {name: check_attribute(name, present.pop(name)) for name in _ATTRIBUTES if name in present}
    extensions = {name: check_extension(name, value) for name, value in present.items()}
    known.setdefault("id", "")
    known.setdefault("datacontenttype", None)
    payload = _payload(data, encoded, content_type)
    return Envelope(**cast("dict[str, Any]", known), data=payload, extensions=extensions)


def _split_text(document: bytes) -> tuple[dict[str, object], bytes | None]:
    if len(document) > _DOCUMENT_BYTES_MAX:
        raise InvalidEvent(f"the document has {len(document)} bytes, of at most {_DOCUMENT_BYTES_MAX}")
    try:
        document.decode()
        parts = _PARTS.decode(document)
        raw = parts.pop("data", None)
        attributes = {name: cast("object", msgspec.json.decode(part)) for name, part in parts.items()}
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"not a JSON object of an event: {error}") from error
    return attributes, None if raw is None else bytes(raw)


def _split_parsed(document: Mapping[str, object]) -> tuple[dict[str, object], bytes | None]:
    attributes = dict(document)
    if "data" not in attributes:
        return attributes, None
    try:
        return attributes, msgspec.json.encode(attributes.pop("data"))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidEvent(f"data is not JSON: {error}") from error


def _payload(data: bytes | None, encoded: object, content_type: object) -> bytes:
    if data is not None and encoded is not None:
        raise InvalidEvent("an event has data or data_base64, not both")
    if encoded is not None:
        data = _unbase64(encoded)
    elif data is not None and not _says_json(content_type):
        data = _text(data, content_type)
    elif data is not None:
        check_depth(data)
    payload = data or b""
    if len(payload) > EVENT_BYTES_MAX:
        raise InvalidEvent(f"the payload has {len(payload)} bytes, of at most {EVENT_BYTES_MAX}")
    return payload


def _unbase64(encoded: object) -> bytes:
    try:
        return msgspec.convert(encoded, bytes)
    except ValueError as error:
        raise InvalidEvent(f"data_base64: {error}") from error


def _text(data: bytes, content_type: object) -> bytes:
    try:
        return msgspec.json.decode(data, type=str).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"data of the type {_shown(content_type)} must be text: {error}") from error


def check_size(type: str, data: bytes, limit: int = EVENT_BYTES_MAX) -> None:
    """Refuse a payload of more than ``limit`` bytes.

    Raises:
        InvalidEvent: if it is larger.
    """
    if len(data) > limit:
        raise InvalidEvent(
            f"{type}: the payload has {len(data)} bytes\n  why: the limit is {limit}\n"
            "  to do: store the large part elsewhere and send its address"
        )


def check_depth(data: bytes) -> None:
    """Refuse JSON that nests deeper than ``JSON_DEPTH_MAX``, whatever room the interpreter's stack has.

    Raises:
        InvalidEvent: if it does.
    """
    if data.count(b"[") + data.count(b"{") <= JSON_DEPTH_MAX:
        return
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > JSON_DEPTH_MAX:
        raise InvalidEvent(f"the payload nests deeper than {JSON_DEPTH_MAX} levels")


def _says_json(content_type: object) -> bool:
    if content_type is None:
        return True  # the JSON event format: absent means application/json
    kind = str(content_type).partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json"))


def _is_json(data: bytes) -> bool:
    try:
        data.decode()
        _VALUE.decode(data)
        check_depth(data)
    except (ValueError, RecursionError, InvalidEvent):
        return False
    return True


# --- attributes -------------------------------------------------------------------------------------------


def check_attribute(name: str, value: object) -> object:
    """Return the value of an attribute that CloudEvents or Onstage define: text, a ``datetime`` or an ``int``.

    Raises:
        InvalidEvent: if it is of another type, empty, too long, out of range, or holds a control character.
    """
    if name in _TIMES:
        return _time(name, value)
    if name in _INTEGERS:
        return _integer(name, value)
    if not isinstance(value, str):
        raise InvalidEvent(f"{name} is {type(value).__name__}, which must be text")
    if not value:
        raise InvalidEvent(f"{name} is empty; leave an attribute out if it has no value")
    return _checked(name, value)


def _checked(name: str, text: str) -> str:
    limit = _BYTES_MAX.get(name, _ATTRIBUTE_BYTES_MAX)
    if _CONTROL.search(text):
        raise InvalidEvent(f"{name} has a control character or half a surrogate pair")
    if len(text.encode()) > limit:
        raise InvalidEvent(f"{name} has {len(text.encode())} bytes, of at most {limit}")
    return text


def _time(name: str, value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    try:
        return msgspec.convert(value, _Instant, strict=True)
    except ValueError as error:
        raise InvalidEvent(f"{name} is not an RFC 3339 time with an offset: {error}") from error


def _integer(name: str, value: object) -> int:
    # Bindings with text headers, and 64-bit values in JSON, carry integers as decimal text.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole and not (isinstance(value, str) and _INTEGER.fullmatch(value)):
        raise InvalidEvent(f"{name} is {_shown(value)}, which must be a whole number")
    number = int(cast("int | str", value))
    if not 0 <= number < (1 << 63 if name == "hlc" else 1 << 31):
        raise InvalidEvent(f"{name} is {_shown(number)}, which is out of range")
    return number


def _shown(value: object) -> str:
    # What is refused may be of any size and depth, and Python writes no integer of more than 4,300 digits.
    match value:
        case str():
            return repr(value) if len(value) <= _SHOWN_CHARS_MAX else f"{value[:_SHOWN_CHARS_MAX]!r}..."
        case bool() | float() | None:
            return repr(value)
        case int() if value.bit_length() <= _SHOWN_CHARS_MAX:
            return repr(value)
        case _:
            return f"a value of type {type(value).__name__}"


def check_extension(name: object, value: object) -> str:
    """Return the value of an attribute of an unknown name as text.

    Raises:
        InvalidEvent: if the name is not possible or means something else, or the value is none that CloudEvents has.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidEvent(f"{_shown(name)} is no attribute name: 1 to 64 of a-z and 0-9")
    if name in _TAKEN:
        raise InvalidEvent(f"{name} cannot be the name of an extension attribute")
    match value:
        case str():
            return _checked(name, value)
        case bool():
            return "true" if value else "false"
        case int() if -(1 << 31) <= value < 1 << 31:
            return str(value)
        case _:
            raise InvalidEvent(f"{name} is neither text, a truth value nor a whole number of 32 bits")


_ATTRIBUTES: Final = tuple(
    name for name in Envelope.__struct_fields__ if name not in {"specversion", "data", "extensions"}
)
_TAKEN: Final = frozenset({*_ATTRIBUTES, "specversion", "data"})
_TIMES: Final = frozenset({"time", "expirytime"})
_INTEGERS: Final = frozenset({"topology", "hlc", "generation"})
_BYTES_MAX: Final = {
    "id": ID_BYTES_MAX,
    "type": NAME_BYTES_MAX,
    "subject": KEY_BYTES_MAX,
    "partitionkey": KEY_BYTES_MAX,
}
_ATTRIBUTE_BYTES_MAX: Final = 4096
_SHOWN_CHARS_MAX: Final = 80
_DOCUMENT_BYTES_MAX: Final = 2 * EVENT_BYTES_MAX  # base64 and the attributes included
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_NAME: Final = re.compile(r"[a-z0-9]{1,64}")
# Possessive, and a string may lack its end: text that is no JSON is passed over once, not once from every quote.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _STEPS)
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)

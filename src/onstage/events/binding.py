"""Events as messages of NATS: CloudEvents 1.0.2, NATS protocol binding, both ways.

In binary mode each attribute is a header ``ce-<name>`` and the payload is the body; this is what is sent. In structured
mode the body is the JSON event format; it is accepted as well, told by a content type that begins with
``application/cloudevents``. Of an attribute's value, space, double quote, percent and all that is not printable ASCII
are percent-encoded as UTF-8 (section 3.1.3.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from onstage.errors import InvalidEvent
from onstage.events.envelope import Envelope, from_json

__all__ = ["CONTENT_TYPE", "from_message", "to_headers"]

CONTENT_TYPE: Final = "content-type"
"""The header by which structured mode is told; in binary mode it repeats ``datacontenttype``."""

_PREFIX: Final = "ce-"
_STRUCTURED: Final = "application/cloudevents"
_JSON: Final = "application/cloudevents+json"
_ATTRIBUTES: Final = tuple(name for name in Envelope.__struct_fields__ if name not in {"data", "extensions"})
_ENCODED: Final = re.compile(r"[^\x21\x23\x24\x26-\x7e]+")
_RUN: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def to_headers(envelope: Envelope) -> dict[str, str]:
    """Return the headers of a message in binary mode; its body is ``envelope.data``.

    Attributes without a value are left out, so is an empty id.
    """
    values = {name: value for name in _ATTRIBUTES if (value := getattr(envelope, name)) is not None}
    if not envelope.id:
        del values["id"]
    headers = {_PREFIX + name: _encoded(_text(value)) for name, value in (values | envelope.extensions).items()}
    if envelope.datacontenttype is not None:
        headers[CONTENT_TYPE] = _encoded(envelope.datacontenttype)
    return headers


def from_message(headers: Mapping[str, str], data: bytes) -> Envelope:
    """Return the event in a message, whichever of the two modes it is in. Names of headers may be in any case.

    Raises:
        InvalidEvent: if it is in neither mode, or its attributes or payload are not as they must be.
    """
    known = {name.lower(): value for name, value in headers.items()}
    content_type = known.get(CONTENT_TYPE, "").strip().lower()
    if content_type.startswith(_STRUCTURED):
        return _structured(content_type, data)
    attributes = {
        name.removeprefix(_PREFIX): _decoded(name, value) for name, value in known.items() if name.startswith(_PREFIX)
    }
    if "specversion" not in attributes:
        raise InvalidEvent("the message is no event: it has no header ce-specversion and no content of that kind")
    for name in ("data", "data_base64"):
        if name in attributes:
            raise InvalidEvent(f"ce-{name} cannot be a header: the payload is the body of the message")
    if "datacontenttype" not in attributes and content_type:
        attributes["datacontenttype"] = _decoded(CONTENT_TYPE, known[CONTENT_TYPE].strip())
    return _binary(attributes, data)


def _structured(content_type: str, data: bytes) -> Envelope:
    if content_type.partition(";")[0].strip() != _JSON:
        raise InvalidEvent(f"{content_type[:80]!r} is not read: structured events are {_JSON}")
    return from_json(data)


def _binary(attributes: dict[str, str], data: bytes) -> Envelope:
    # The JSON event format has all the checks; a body of any type and depth passes it as base64.
    document: dict[str, object] = {**attributes}
    if data:
        document["data_base64"] = msgspec.to_builtins(data)
    return from_json(document)


def _text(value: object) -> str:
    if not isinstance(value, datetime):
        return str(value)
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _encoded(value: str) -> str:
    return _ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


def _decoded(name: str, value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':  # quoted, as HTTP has it: sent by others, never by us
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return _RUN.sub(lambda run: bytes.fromhex(run[0].replace("%", "")).decode(), value)
    except ValueError as error:
        raise InvalidEvent(f"the header {name[:80]!r} is not UTF-8: {error}") from error

"""CloudEvents in requests: HTTP protocol binding 1.0.2, in its binary, structured and batched content modes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from onstage.errors import InvalidEvent
from onstage.events.binding import CONTENT_TYPE, from_message
from onstage.events.envelope import Envelope, from_json

__all__ = ["BATCH_EVENTS_MAX", "REQUEST_BYTES_MAX", "from_request"]

BATCH_EVENTS_MAX: Final = 1_000
"""How many events one request may bring."""

REQUEST_BYTES_MAX: Final = 1 << 22
"""The largest body of a request, in bytes."""

_BATCH: Final = "application/cloudevents-batch+json"
_STRUCTURED: Final = "application/cloudevents"
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def from_request(headers: Mapping[str, str], body: bytes) -> list[Envelope]:
    """The events in a request: one in binary or structured mode, any number in batched mode. Names may be in any case.

    Raises InvalidEvent if one of them is none, the request is in no mode, or it brings more than `BATCH_EVENTS_MAX`.
    """
    content_type = next((value for name, value in headers.items() if name.lower() == CONTENT_TYPE), "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _BATCH:
        return _batch(body)
    if kind.startswith(_STRUCTURED) or any(name.lower() == "ce-specversion" for name in headers):
        return [from_message(headers, body)]
    raise InvalidEvent(
        "the request holds no CloudEvent\n  why: it has no header ce-specversion and none of their content types\n"
        "  to do: send ce- headers, application/cloudevents+json or application/cloudevents-batch+json"
    )


def _batch(body: bytes) -> list[Envelope]:
    try:
        body.decode()
        elements = _ELEMENTS.decode(body)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"the batch is no JSON array: {error}") from error
    if len(elements) > BATCH_EVENTS_MAX:
        raise InvalidEvent(
            f"the batch has {len(elements)} events\n  why: at most {BATCH_EVENTS_MAX} are taken at once\n"
            "  to do: send several batches"
        )
    return [from_json(bytes(element)) for element in elements]

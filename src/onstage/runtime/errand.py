"""Errands: what stores ask of each other about requests, as messages at the control subject of a service."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Protocol, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onstage.core.commit import Note

__all__ = ["ANSWERED", "BEGIN", "CANCEL", "ERRAND", "WANT", "Send", "Want", "decode_want", "encode_want", "number_of"]

ERRAND: Final = "onstage-errand"
"""The header that says what such a message is for: one of the words below."""
BEGIN: Final = "begin"
WANT: Final = "want"
CANCEL: Final = "cancel"
ANSWERED: Final = "answered"


class Send(Protocol):
    """Sends a message to a service."""

    def __call__(
        self,
        service: str,
        headers: Mapping[str, str],
        data: bytes,
        kept: Sequence[Note] = (),
        *,
        dropped: Sequence[tuple[str, int, int]] = (),
    ) -> int:
        """Keep it until it is there, in one commit with these notes; answer its position."""
        ...


@final
class Want(msgspec.Struct, frozen=True, array_like=True):
    """The answer to the request `name` is wanted at `service`; `payload` is the hash of what was asked, if known."""

    name: str
    service: str
    payload: bytes = b""


encode_want: Final = msgspec.msgpack.Encoder().encode
decode_want: Final = msgspec.msgpack.Decoder(Want).decode


def number_of(name: str) -> int:
    """Under which number what concerns a request is noted."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1

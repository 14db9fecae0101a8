"""The payload codec: what stands between payloads and everything that stores or carries them.

A sealed payload is a frame: two bytes that no JSON or note begins with, the key's id, and what the codec made of the
payload together with the place it belongs to. So one that is moved elsewhere does not open, one that was never sealed
is told apart, and the id of a missing key can be named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

import msgspec

from onstage.errors import KeyMissing, SealBroken, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KEY_ID_BYTES_MAX", "PayloadCodec", "Seal", "key_id_of"]

KEY_ID_BYTES_MAX: Final = 255
_MARK: Final = b"\xc1\x01"  # 0xc1 begins no MessagePack value, no UTF-8 text and so no JSON


class PayloadCodec(Protocol):
    """Encrypts payloads; yours to write, for AES-GCM a dozen lines. It is called on several threads.

    `associated` names the place a payload belongs to: pass it on as associated data, so that a payload that was moved
    does not open.
    """

    @property
    def key_id(self) -> str:
        """The id of the key that new payloads are sealed with: 1 to 255 bytes of UTF-8."""
        ...

    def encrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        """Encrypt with this key and a fresh nonce, and authenticate `associated`."""
        ...

    def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        """What `encrypt` was given. Raises KeyError if there is no such key, any other error if it does not fit."""
        ...


@final
class Seal:
    """Seals payloads with a codec, and opens them."""

    def __init__(self, codec: PayloadCodec) -> None:
        """With this codec."""
        self._codec = codec

    def close(self, data: bytes, *place: object) -> bytes:
        """Seal a payload for its place."""
        key_id = self._codec.key_id
        name = key_id.encode()
        if not 0 < len(name) <= KEY_ID_BYTES_MAX:
            raise UsageError(
                f"the codec's key has the id {key_id!r:.80}\n  why: an id has 1 to {KEY_ID_BYTES_MAX} bytes\n"
                "  to do: name the key shorter"
            )
        body = self._codec.encrypt(key_id, bytes(data), _associated(place))
        return b"".join((_MARK, len(name).to_bytes(1, "big"), name, body))

    def open(self, data: bytes, *place: object) -> bytes:
        """Open a payload of this place; one that was never sealed is answered as it is.

        Raises KeyMissing if the codec does not have the key, SealBroken if it does not open.
        """
        key_id = key_id_of(data)
        if key_id is None:
            return data
        try:
            return bytes(self._codec.decrypt(key_id, data[3 + data[2] :], _associated(place)))
        except KeyError as error:
            raise KeyMissing(
                f"the key {key_id} is missing\n  why: a payload was sealed with it, and the codec does not have it\n"
                "  to do: give the codec that key again, then `onstage dead retry` what was set aside"
            ) from error
        except Exception as error:
            raise SealBroken(
                f"a payload sealed with key {key_id} does not open\n"
                f"  why: the key is another one, or the payload was changed or moved ({type(error).__name__})\n"
                "  to do: give the codec the right key, or restore a backup; nothing was changed"
            ) from error


def key_id_of(data: bytes) -> str | None:
    """The id of the key that a payload is sealed with; None if it is not sealed."""
    if data[:2] != _MARK or len(data) < 3 or len(data) < 3 + data[2]:
        return None
    return data[3 : 3 + data[2]].decode(errors="replace")


def _associated(place: Sequence[object]) -> bytes:
    return msgspec.msgpack.encode(place)

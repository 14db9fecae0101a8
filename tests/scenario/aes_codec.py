"""The payload codec of the how-to, for tests."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from onstage.ports.clock import SystemClock


class Aes:
    """AES-256-GCM with a key ring; the last key seals, all of them open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.key_id = list(keys)[-1]

    def encrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        nonce = SystemClock().token(12)
        return nonce + self._keys[key_id].encrypt(nonce, data, associated)

    def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        return self._keys[key_id].decrypt(data[:12], data[12:], associated)

"""What a sealed broker seals, and that a missing key stops reading instead of passing anything over."""

import asyncio

import pytest

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.brokers.sealed_broker import SEAL_BYTES, SealedBroker
from onstage.errors import KeyMissing, SealBroken
from onstage.ports.broker import Message


class Xor:
    """Keys are numbers; it hides payloads from nobody but a test."""

    def __init__(self, *keys: int) -> None:
        self._keys = {f"k{key}": key for key in keys}
        self.key_id = f"k{keys[-1]}"

    def encrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        return bytes(byte ^ self._keys[key_id] for byte in associated + data)

    def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        opened = bytes(byte ^ self._keys[key_id] for byte in data)
        if not opened.startswith(associated):
            raise ValueError(opened)
        return opened[len(associated) :]


HEADERS = {"ce-id": "s-i-1", "ce-type": "shop.paid"}
EVENT = Message("evt.ns.p0.shop.paid", b'{"card":1}', HEADERS, "s-i-1")
RECEIPTS = Message("rcpt.ns.r0", b"receipts", {"onstage-id": "r"}, "r")


def test_only_events_are_sealed_and_they_open_with_any_known_key() -> None:
    async def play() -> tuple[list[bytes], list[bytes]]:
        log = EmbeddedLog("ns")
        plain, old, new = EmbeddedBroker(log), SealedBroker(EmbeddedBroker(log), Xor(7)), None
        for broker in (plain, old):
            await broker.open()
        await old.publish([EVENT, RECEIPTS])
        new = SealedBroker(EmbeddedBroker(log), Xor(7, 9))
        await new.open()
        stored = [await plain.message(seq) for seq in (1, 2)]
        cursor = await new.cursor("c", ["evt.ns.>", "rcpt.ns.>"], after=0)
        read = list(await cursor.next())
        one = await new.message(1)
        assert one is not None
        assert one.data == EVENT.data
        return [each.data for each in stored if each], [each.data for each in read]

    stored, read = asyncio.run(play())
    assert EVENT.data not in stored[0]
    assert stored[1] == b"receipts"
    assert read == [EVENT.data, b"receipts"]


def test_a_missing_key_and_a_moved_payload_are_refused() -> None:
    async def play() -> None:
        log = EmbeddedLog("ns")
        sealed, other, plain = (
            SealedBroker(EmbeddedBroker(log), Xor(7)),
            SealedBroker(EmbeddedBroker(log), Xor(9)),
            EmbeddedBroker(log),
        )
        for broker in (sealed, other, plain):
            await broker.open()
        await sealed.publish([EVENT])
        with pytest.raises(KeyMissing, match="the key k7 is missing"):
            await (await other.cursor("c", ["evt.ns.>", "rcpt.ns.>"], after=0)).next()
        stored = await plain.message(1)
        assert stored is not None
        await plain.publish([Message(EVENT.subject, stored.data, {**HEADERS, "ce-id": "s-i-2"}, "s-i-2")])
        with pytest.raises(SealBroken):
            await sealed.message(2)

    asyncio.run(play())


def test_what_sealing_adds_is_left_free() -> None:
    log = EmbeddedLog("ns")
    inner = EmbeddedBroker(log)
    most = SealedBroker(inner, Xor(1)).payload_bytes_max
    assert most == (None if inner.payload_bytes_max is None else inner.payload_bytes_max - SEAL_BYTES)

"""Sealing payloads: frames, keys, and what does not open."""

import pytest
from tests.scenario.aes_codec import Aes

from onstage.errors import KeyMissing, SealBroken, UsageError
from onstage.ports.payload_codec import KEY_ID_BYTES_MAX, Seal, key_id_of

OLD = {"k1": bytes(32)}
BOTH = {**OLD, "k2": bytes(range(32))}


def test_a_payload_opens_at_its_place_and_nowhere_else() -> None:
    seal = Seal(Aes(BOTH))
    sealed = seal.close(b'{"card":1}', "event", 1, "shop.paid")
    assert b"card" not in sealed
    assert key_id_of(sealed) == "k2"
    assert seal.open(sealed, "event", 1, "shop.paid") == b'{"card":1}'
    for other in (
        ("event", 2, "shop.paid"),
        ("event", 1, "shop.lost"),
        ("state", 1, "shop.paid"),
        ("event", "1shop.paid"),
    ):
        with pytest.raises(SealBroken, match="changed or moved"):
            seal.open(sealed, *other)


def test_any_changed_byte_is_noticed() -> None:
    seal = Seal(Aes(BOTH))
    sealed = seal.close(b"{}", "event", 1)
    for at in range(3, len(sealed)):
        broken = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises((SealBroken, KeyMissing)):
            seal.open(broken, "event", 1)


def test_old_keys_open_and_new_ones_seal() -> None:
    earlier = Seal(Aes(OLD)).close(b"1", "x")
    assert Seal(Aes(BOTH)).open(earlier, "x") == b"1"
    with pytest.raises(KeyMissing, match="the key k2 is missing"):
        Seal(Aes(OLD)).open(Seal(Aes(BOTH)).close(b"1", "x"), "x")


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\x95\x01", b"\xc1", b"\xc1\x01", b"\xc1\x01\x05abc"])
def test_what_was_never_sealed_is_answered_as_it_is(data: bytes) -> None:
    assert key_id_of(data) is None
    assert Seal(Aes(OLD)).open(data, "x") is data


@pytest.mark.parametrize("name", ["", "x" * (KEY_ID_BYTES_MAX + 1)])
def test_a_key_has_a_name_of_some_length(name: str) -> None:
    codec = Aes(OLD)
    codec.key_id = name
    with pytest.raises(UsageError, match="an id has 1 to"):
        Seal(codec).close(b"1")

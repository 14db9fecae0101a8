"""Payloads are found where they are kept, and opened where they belong."""

import msgspec
import pytest
from tests.unit.testing.checks.filing import File

from onstage.core.journal import Stepped, encode_entry
from onstage.ports.payload_codec import Seal
from onstage.testing.checks.stored_file import StoredFile
from onstage.testing.checks.stored_payloads import StoredPayloads, named_in, recorded
from onstage.testing.world.plays.payloads_played import Bolt

STEPPED = Stepped("wrap#0", 1, b"large", 2, 1, 5)


def apart(file: File, name: str, body: bytes) -> str:
    file.do("insert into onstage_blob values (?, ?, 1)", name, len(body))
    file.do("insert into onstage_blob_body values (?, ?)", name, body)
    return name


def test_what_is_kept_apart_is_found_by_its_name(file: File) -> None:
    file.event(1)
    file.do("update onstage_event set data = ?", apart(file, "ab", b"[1]"))
    rest = encode_entry(msgspec.structs.replace(STEPPED, result=b""))
    body = b"\xc1" + msgspec.msgpack.encode((rest, {"result": apart(file, "cd", b"large")}))
    assert file.look().payloads == {1: b"[1]"}
    assert StoredPayloads(file.rows, None).entry(1, body) == STEPPED
    assert recorded(body).position == "wrap#0"
    assert named_in(body) == {"result": "cd"}
    assert named_in(encode_entry(STEPPED)) == {}


def test_what_is_sealed_opens_at_its_place_only(file: File) -> None:
    codec = Bolt()
    seal = Seal(codec)
    file.event(1)
    file.event(2)
    for n in (1, 2):
        file.do("update onstage_event set data = ? where n = ?", seal.close(b"{}", "event", n, n, "a.b"), n)
    assert StoredFile(file.rows, codec).payloads == {1: b"{}", 2: b"{}"}
    file.do("update onstage_event set data = (select data from onstage_event where n = 1)")
    with pytest.raises(ValueError, match="elsewhere"):
        StoredFile(file.rows, codec).payloads  # noqa: B018  it is read here
    entry = msgspec.structs.replace(STEPPED, result=seal.close(b"large", "entry", 7, "wrap#0", "result"))
    assert StoredPayloads(file.rows, codec).entry(7, encode_entry(entry)) == STEPPED
    state = seal.close(b"1", "state", "till.Till", "k", 3)
    assert StoredPayloads(file.rows, codec).state(state, "till.Till", "k", 3) == b"1"
    assert StoredPayloads(file.rows, codec).state(None, "till.Till", "k", 3) is None
    file.do("insert into onstage_note values ('completion', 5, ?)", seal.close(b"told", "note", "completion", 5))
    assert StoredFile(file.rows, codec).notes_of("completion", "heartbeat") == [("completion", b"told")]

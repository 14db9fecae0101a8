"""Messages on the wire: as nats-py writes them, and nothing that would be another message."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from onstage.brokers.nats.framing import framed, send
from onstage.errors import UsageError

names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True)
values = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc", "Z")), min_size=1
)
headers = st.dictionaries(names, values, min_size=1, max_size=5)


class Recording(Client):
    """A connection that keeps what would be sent."""

    is_connected = True

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.flushes = 0
        self._flush_queue = asyncio.Queue()

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:
        self.written.append(bytes(cmd))

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        self.flushes += 1


@given(headers, st.binary(max_size=50), st.sampled_from(["", "_INBOX.x.1"]))
def test_a_message_is_written_as_the_client_library_writes_it(own: dict[str, str], data: bytes, reply: str) -> None:
    async def both() -> None:
        ours, theirs = Recording(), Recording()
        await send(ours, "evt.shop.1.a", data, reply=reply, headers=own)
        await theirs.publish("evt.shop.1.a", data, reply=reply, headers=own)
        assert ours.written == theirs.written
        assert ours.flushes == theirs.flushes == 1

    asyncio.run(both())


def test_a_message_without_headers_goes_the_usual_way() -> None:
    async def scene() -> None:
        client = Recording()
        await send(client, "a", b"x", reply="", headers={})
        assert client.written == [b"PUB a  1\r\nx\r\n"]

    asyncio.run(scene())


@pytest.mark.parametrize(
    "wrong", [{"a": "x\r\nPUB b 0"}, {"a": "x\ny"}, {"a": "\r"}, {"a\n": "x"}, {"": "x"}, {" a": "x"}]
)
def test_a_header_that_would_be_another_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="header"):
        framed("a", b"", reply="", headers={"ok": "1", **wrong})


def test_a_connection_that_is_gone_takes_nothing() -> None:
    async def scene() -> None:
        client = Recording()
        client.is_connected = False  # type: ignore[misc]
        with pytest.raises(ConnectionError):
            await send(client, "a", b"x", reply="", headers={"a": "b"})
        assert client.written == []

    asyncio.run(scene())

"""What strangers, and clients and nodes of other versions, say at the local door."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.runtime.test_local_door import Desk, play

from onstage import errors
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.local_socket import socket_path
from onstage.runtime.remote_door import RemoteDoor, call_when_running


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


async def say(path: Path, *requests: object) -> list[Any]:
    """What the door answers to these frames, sent as MessagePack."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path(path)))
    for request in requests:
        body = msgspec.msgpack.encode(request)
        writer.write(len(body).to_bytes(4, "big") + body)
    answers: list[Any] = []
    async with asyncio.timeout(5):
        while len(answers) < len(requests):
            size = int.from_bytes(await reader.readexactly(4), "big")
            answers.append(msgspec.msgpack.decode(await reader.readexactly(size)))
    writer.close()
    return answers


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "dance"},
        {"do": "emit", "with": {"type": 5}},
        {"do": "emit all", "with": [{"type": "a"}], "go_on": True},
        {"do": "emit all", "with": []},
        {"do": "operate", "action": "retry", "execution": 1 << 63},
        {"do": "verdict", "process": "p", "timeout_s": "soon"},
        {"do": "verdict", "process": "p", "timeout_s": float("nan")},
        {},
    ],
)
def test_a_request_that_the_node_does_not_know_is_refused(tmp_path: Path, request_: dict[str, Any]) -> None:
    path = tmp_path / "shop.db"

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        (answer,) = await say(path, {"at": 7, **request_})
        assert answer["at"] == 7
        assert answer["error"][0] == "OperationError"
        what, why, mend = answer["error"][1].splitlines()
        assert what.startswith(("the node does not know the request '", "the node cannot read the request '"))
        assert why == "  why: client and node are of different versions of Onstage"
        assert mend.startswith("  to do: ")
        assert desk.heard == []

    play(path, story)


def test_what_a_newer_client_adds_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    options = {"type": "a", "data": b"{}", "id": "1", "source": None, "colour": "red"}

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        one = {"at": 1, "do": "emit", "with": options, "later": [1]}
        many = {"at": 2, "do": "emit all", "with": [options, options], "go_on": False, "later": [1]}
        (answer,) = await say(path, one)
        assert answer == {"at": 1, "value": "p-1"}
        (answer,) = await say(path, many)
        assert answer == {"at": 2, "value": ["p-2", "p-3"]}

    play(path, story)


class Dance(msgspec.Struct, tag_field="do", tag="dance"):
    """What only a later version can say."""

    at: int = 0


def test_a_request_that_only_a_later_version_knows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        later: Any = Dance()
        with pytest.raises(errors.OperationError) as refused:
            await remote._once(later)  # noqa: SLF001
        what, why, mend = str(refused.value).splitlines()
        assert what == "the node does not know the request 'dance'"
        assert why == "  why: client and node are of different versions of Onstage"
        assert mend.startswith("  to do: run both from the same version")

    play(tmp_path / "shop.db", story)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02\xc1\xc1",
        b"\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x01\x90",  # a list
        b"\x00\x00\x00\x01\xc0",  # nil
        b"\x00\x00\x00\x05\x81\xa2at\xff",  # request number -1
        b"\x00\x01\x00\x00" + b"\x91" * 0x10000,  # nested without end
    ],
)
def test_rubbish_at_the_door_closes_that_connection_only(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "shop.db"
    unhandled: list[dict[str, Any]] = []

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        reader, writer = await asyncio.open_unix_connection(str(socket_path(path)))
        writer.write(rubbish)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert await remote.emit("a", b"{}", id=None, source=None) == "p-1"

    play(path, story)
    assert unhandled == []


@pytest.mark.parametrize("answer", [(1, True), (1, True, 2), "pong", None])
def test_a_node_of_another_version_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    async def pong(self: LocalDoor, request: object) -> object:
        return answer

    monkeypatch.setattr(LocalDoor, "_do", pong)

    async def story() -> None:
        door = LocalDoor(tmp_path / "shop.db", Desk())
        await door.open()
        with pytest.raises(errors.OperationError) as refused:
            await call_when_running(tmp_path / "shop.db")
        what, why, mend = str(refused.value).splitlines()
        assert what.startswith(f"the node at {socket_path(tmp_path / 'shop.db')} answers")
        assert why.startswith("  why: client and node are of different versions")
        assert mend.startswith("  to do: ")
        await door.close()

    asyncio.run(story())

"""The door beside a running node: requests, errors, sizes, and a node that goes away and comes back."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onstage import errors
from onstage.observe.verdict import Verdict
from onstage.runtime import local_door
from onstage.runtime.door_messages import FRAME_BYTES_MAX
from onstage.runtime.local_door import LocalDoor, RemoteDoor, call_when_running, socket_path


class Desk:
    """What is behind the door: it keeps what it is told, and fails as it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.runs = True
        self.made_way = False
        self.told = asyncio.Event()

    async def emit(
        self, type: str, data: bytes, *, id: str | None, source: str | None, process: str | None, extra: bytes | None
    ) -> str:
        self.heard.append((type, id))
        self.told.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return f"p-{len(self.heard)}"

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        return Verdict("stuck", None, (f"{process} for {timeout_s}",))

    async def operate(self, action: str, execution: int) -> str:
        raise errors.UsageError(f"{action} {execution}")

    def make_way(self) -> None:
        self.made_way = True


@pytest.fixture(autouse=True)
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(local_door, "ATTEMPT_PAUSE_S", 0.01)


def play(path: Path, story: Callable[[Desk, RemoteDoor], Awaitable[None]]) -> None:
    async def run() -> None:
        desk = Desk()
        door = LocalDoor(path, desk)
        await door.open()
        remote = await call_when_running(path)
        assert remote is not None
        try:
            await story(desk, remote)
        finally:
            await remote.close()
            await door.close()

    asyncio.run(run())


def test_the_socket_has_a_short_name_and_belongs_to_its_owner(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 200) / "shop.db"
    assert socket_path(deep).parent == tmp_path
    assert len(socket_path(deep).name) < 40
    assert socket_path(deep) != socket_path(tmp_path / "shop.db")

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        assert socket_path(deep).stat().st_mode & 0o777 == 0o600

    play(deep, story)


def test_nobody_there_is_no_client(tmp_path: Path) -> None:
    async def story() -> None:
        assert await call_when_running(tmp_path / "shop.db") is None
        socket_path(tmp_path / "shop.db").touch()  # left by a killed node
        assert await call_when_running(tmp_path / "shop.db") is None

    asyncio.run(story())


def test_a_client_learns_who_is_there(tmp_path: Path) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        assert (remote.pid, remote.runs) == (os.getpid(), True)
        desk.runs = False
        await remote.ping()
        assert not remote.runs
        await remote.make_way()
        assert desk.made_way

    play(tmp_path / "shop.db", story)


def test_requests_go_through_and_many_at_a_time(tmp_path: Path) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        desk.gate = asyncio.Event()
        sent = [asyncio.create_task(remote.emit("a", b"{}", id=str(n), source=None)) for n in range(20)]
        verdict = await remote.verdict("p", 1.5)  # overtakes those that wait
        assert verdict == Verdict("stuck", None, ("p for 1.5",))
        desk.gate.set()
        assert len(set(await asyncio.gather(*sent))) >= 1
        assert sorted(desk.heard) == sorted(("a", str(n)) for n in range(20))

    play(tmp_path / "shop.db", story)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidEvent("no"), errors.InvalidEvent),
        (errors.DuplicateId("no"), errors.DuplicateId),
        (errors.AmbiguousProcess("no"), errors.AmbiguousProcess),
        (errors.StoreUnavailable("no"), errors.StoreUnavailable),
        (LookupError("no"), LookupError),
        (ZeroDivisionError("no"), errors.OperationError),
    ],
)
def test_an_error_of_the_node_is_raised_at_the_client(tmp_path: Path, error: Exception, kind: type[Exception]) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        desk.error = error
        with pytest.raises(kind, match="no"):
            await remote.emit("a", b"{}", id=None, source=None)
        with pytest.raises(errors.UsageError, match="retry 7"):
            await remote.operate("retry", 7)

    play(tmp_path / "shop.db", story)


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
        assert answer["error"][0] == "UsageError"
        assert "client and node differ in version" in answer["error"][1]
        assert desk.heard == []

    play(path, story)


def test_what_a_newer_client_adds_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    options = {"type": "a", "data": b"{}", "id": "1", "source": None, "colour": "red"}

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        (answer,) = await say(path, {"at": 1, "do": "emit", "with": options, "later": [1]})
        assert answer == {"at": 1, "value": "p-1"}

    play(path, story)


def test_an_error_without_a_text_is_an_answer_too(tmp_path: Path) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        for desk.error, text in (
            (Mute(), "Mute"),
            (LookupError("\udcff"), r"\\udcff"),
            (LookupError("x" * 99_999), "x"),
        ):
            with pytest.raises((errors.OperationError, LookupError), match=text):
                await remote.emit("a", b"{}", id=None, source=None)

    play(tmp_path / "shop.db", story)


@pytest.mark.parametrize(("id", "size"), [("\ud800", 0), ("1", FRAME_BYTES_MAX)])
def test_what_cannot_be_sent_is_refused_at_the_client(tmp_path: Path, id: str, size: int) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        with pytest.raises(errors.UsageError, match="cannot be sent between client and node"):
            await remote.emit("a", b"{}", id=id, source=None, extra=b"x" * size)
        assert desk.heard == []

    play(tmp_path / "shop.db", story)


def test_an_event_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        with pytest.raises(errors.InvalidEvent, match="the limit is 1048576"):
            await remote.emit("a", b"x" * (FRAME_BYTES_MAX + 1), id=None, source=None)
        assert await remote.emit("a", b"x", id=None, source=None) == "p-1"

    play(tmp_path / "shop.db", story)


def test_the_node_comes_back_and_the_same_id_is_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"

    async def story() -> None:
        first, second = Desk(), Desk()
        first.gate = asyncio.Event()
        door = LocalDoor(path, first)
        await door.open()
        remote = RemoteDoor(path)
        sent = asyncio.create_task(remote.emit("a", b"{}", id=None, source=None))
        await first.told.wait()
        await door.close()
        again = LocalDoor(path, second)
        await again.open()
        assert await sent == "p-1"
        assert second.heard == first.heard  # the id was drawn once
        await remote.close()
        await again.close()

    asyncio.run(story())


def test_a_node_that_stays_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_door, "ATTEMPT_PAUSE_S", 0.0)

    async def story() -> None:
        remote = RemoteDoor(tmp_path / "shop.db")
        with pytest.raises(errors.StoreUnavailable, match="the node does not answer"):
            await remote.emit("a", b"{}", id=None, source=None)
        await remote.close()

    asyncio.run(story())


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

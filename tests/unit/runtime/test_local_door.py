"""The door beside a running node: requests, errors, sizes, and a node that goes away and comes back."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from onstage import errors
from onstage.observe.verdict import Verdict
from onstage.runtime import remote_door
from onstage.runtime.door_messages import FRAME_BYTES_MAX
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.local_socket import socket_path
from onstage.runtime.remote_door import Moved, RemoteDoor, call_when_running


class Desk:
    """What is behind the door: it keeps what it is told, and fails as it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.runs = True
        self.made_way = False
        self.patience_s: list[float | None] = []
        self.told = asyncio.Event()

    async def emit(self, type: str, data: bytes, *, id: str | None, **_: Any) -> str:
        self.heard.append((type, id))
        self.told.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return f"p-{len(self.heard)}"

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, go_on: bool) -> list[str | Exception]:
        return [await self.emit(**event) if event["id"] else errors.DuplicateId(f"go on: {go_on}") for event in events]

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        self.patience_s.append(timeout_s)
        return Verdict("stuck", None, (process,))

    async def operate(self, action: str, execution: int, *, by: str | None = None) -> str:
        raise errors.UsageError(f"{action} {execution} {by or ''}".strip())

    def make_way(self) -> None:
        self.made_way = True


@pytest.fixture(autouse=True)
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(remote_door, "ATTEMPT_PAUSE_S", 0.01)


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
        assert verdict == Verdict("stuck", None, ("p",))
        assert desk.patience_s[0] is not None
        assert 0 < desk.patience_s[0] <= 1.5
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


def test_many_events_are_answered_one_by_one(tmp_path: Path) -> None:
    async def story(desk: Desk, remote: RemoteDoor) -> None:
        event = {"type": "a", "data": b"{}", "source": None, "process": None, "extra": None}
        answers = await remote.emit_all([event | {"id": name} for name in ("1", "", "2")], go_on=True)
        assert answers[::2] == ["p-1", "p-2"]
        assert repr(answers[1]) == "DuplicateId('go on: True')"
        large = event | {"id": "3", "data": b"x" * (FRAME_BYTES_MAX // 2)}
        with pytest.raises(errors.UsageError, match="to do: send fewer events at a time"):
            await remote.emit_all([large, large], go_on=True)
        assert len(desk.heard) == 2

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
    monkeypatch.setattr(remote_door, "ATTEMPT_PAUSE_S", 0.0)

    async def story() -> None:
        remote = RemoteDoor(tmp_path / "shop.db")
        with pytest.raises(errors.StoreUnavailable, match="the node does not answer"):
            await remote.emit("a", b"{}", id=None, source=None)
        await remote.close()

    asyncio.run(story())


def test_when_nobody_answers_the_stage_is_asked_to_take_over_and_what_was_under_way_moves(tmp_path: Path) -> None:
    asked: list[RemoteDoor] = []

    async def take_over(remote: RemoteDoor) -> None:
        asked.append(remote)
        if len(asked) == 3:  # twice somebody else had the store
            await remote.close()

    async def story() -> None:
        remote = RemoteDoor(tmp_path / "shop.db", take_over)
        emits = [asyncio.create_task(remote.emit("a", b"{}", id=None, source=None)) for _ in range(2)]
        emits.append(asyncio.create_task(remote.operate("drop", 1)))  # nothing of it was sent, so it may move too
        ends = await asyncio.gather(*emits, return_exceptions=True)
        assert [type(end) for end in ends] == [Moved] * 3
        assert set(asked) == {remote}

    asyncio.run(story())


def test_what_was_sent_once_is_not_repeated_if_it_must_not_be(tmp_path: Path) -> None:
    async def story() -> None:
        desk = Desk()
        door, again = (LocalDoor(tmp_path / "shop.db", desk) for _ in range(2))
        await door.open()
        remote = await call_when_running(tmp_path / "shop.db")
        assert remote is not None
        heard: list[int] = []

        async def away(action: str, execution: int, **_: Any) -> str:
            heard.append(execution)
            desk.told.set()
            await asyncio.get_running_loop().create_future()
            return ""

        async def come_back() -> None:
            await desk.told.wait()
            await door.close()
            await again.open()

        desk.operate = away  # type: ignore[method-assign]
        coming = asyncio.create_task(come_back())
        with pytest.raises(errors.StoreUnavailable, match="whether it took the last request is not known"):
            async with asyncio.timeout(10):
                await remote.operate("drop", 1)
        assert heard == [1]
        await coming
        await remote.close()
        await again.close()

    asyncio.run(story())


def test_a_client_learns_anew_who_is_there_when_it_connects_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"

    async def story() -> None:
        holder, node = Desk(), Desk()
        holder.runs = False
        door = LocalDoor(path, holder)
        await door.open()
        remote = await call_when_running(path)
        assert remote is not None
        assert not remote.runs
        await door.close()
        again = LocalDoor(path, node)
        await again.open()
        await remote.emit("a", b"{}", id=None, source=None)
        assert remote.runs
        await remote.close()
        await again.close()

    asyncio.run(story())

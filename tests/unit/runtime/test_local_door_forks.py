"""The door of a node that forks, or starts programs: whoever outlives the node holds nothing of it open."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.runtime.test_local_door import Desk

from onstage.runtime import local_door
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.local_socket import socket_path
from onstage.runtime.remote_door import RemoteDoor

WAIT_S = 20.0
NODE = """
import asyncio, os, signal, subprocess, sys
from pathlib import Path

from onstage.runtime.local_door import LocalDoor


class Ways:
    runs = True


async def main():
    if sys.argv[2] == "keeps all":
        LocalDoor.let_go = lambda _: None
    await LocalDoor(Path(sys.argv[1]), Ways()).open()
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # a client has come
    if sys.argv[2] == "starts":
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], close_fds=False).pid
    else:
        child = os.fork()
        if not child:
            signal.pause()
    print(child, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "shop.db"


@pytest.fixture
def left() -> Iterator[list[int]]:
    """Processes to be killed at the end."""
    found: list[int] = []
    yield found
    for each in found:
        os.kill(each, signal.SIGKILL)


def _node(store: Path, how: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", NODE, str(store), how], stdin=pipe, stdout=pipe)


async def _outlived(store: Path, how: str, left: list[int]) -> tuple[bool, bool]:
    """Kill a node that has a client and a child; answers whether the client is told of it, and a new one refused."""
    with _node(store, how) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        async with asyncio.timeout(WAIT_S):
            assert await asyncio.to_thread(node.stdout.readline) == b"open\n"
            client = RemoteDoor(store)
            await client.ping()
            reader, writer = await asyncio.open_unix_connection(str(socket_path(store)))
            await client.ping()  # the other connection was taken before this was answered
            node.stdin.write(b"go\n")
            node.stdin.flush()
            left.append(int(await asyncio.to_thread(node.stdout.readline)))
            node.kill()
    await client.close()
    try:
        async with asyncio.timeout(WAIT_S if how != "keeps all" else 0.2):
            is_told = await reader.read() == b""
    except TimeoutError:
        is_told = False
    writer.close()
    try:
        _, late = await asyncio.open_unix_connection(str(socket_path(store)))
    except ConnectionRefusedError:
        return is_told, True
    late.close()
    return is_told, False


@pytest.mark.parametrize("how", ["forks", "starts"])
def test_a_child_that_outlives_its_node_takes_no_connections(store: Path, left: list[int], how: str) -> None:
    assert asyncio.run(_outlived(store, how, left)) == (True, True)


def test_a_child_that_keeps_all_open_does(store: Path, left: list[int]) -> None:
    assert asyncio.run(_outlived(store, "keeps all", left)) == (False, False)


def test_the_node_itself_goes_on_after_a_fork(store: Path) -> None:
    async def story() -> None:
        door = LocalDoor(store, Desk())
        await door.open()
        client = RemoteDoor(store)
        await client.ping()
        child = os.fork()
        if not child:
            os._exit(0 if _holds_no_socket_of(door) else 1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        await client.ping()
        second = RemoteDoor(store)
        await second.ping()
        await client.close()
        await second.close()
        await door.close()
        assert door not in local_door._OPEN  # noqa: SLF001  no later fork looks at it

    asyncio.run(story())


def _holds_no_socket_of(door: LocalDoor) -> bool:
    listening = door._socket  # noqa: SLF001
    lines = [line.get_extra_info("socket") for line in door._lines]  # noqa: SLF001
    numbers = [each.fileno() for each in (listening, *lines) if each is not None]
    return len(numbers) == 2 and {str(Path(f"/proc/self/fd/{each}").readlink()) for each in numbers} == {os.devnull}

"""Requests, results and cancels between stores, while processes and their NATS server are killed with SIGKILL."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final

import apsw
import pytest
from tests.scenario import errands_app
from tests.scenario.errands_app import GetPrice, app, grind, order

from onstage import connect
from onstage.errors import AskFailed, StoreUnavailable, UsageError
from onstage.stage import Stage
from onstage.testing.nats_server import NatsServer
from onstage.workflow_handle import WorkflowHandle

LIMIT_S = 120.0
EACH = 6
ROUNDS = 2
SERVICES = ("desk", "mill")


@final
class Yard:
    """Both services as processes of their own, and their server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, NatsServer(folder / "nats")
        self.effects = folder / "effects.txt"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, service: str) -> None:
        store, log = self.folder / f"{service}.db", self.folder / f"{service}.log"
        command = [sys.executable, errands_app.__file__, service, str(store), self.server.url, str(self.effects)]
        process = self.processes[service] = self._spawn(log, command)
        assert process.stdout is not None
        with process.stdout:
            assert await asyncio.to_thread(process.stdout.readline) == b"ready\n", log.read_text()[-3000:]

    @staticmethod
    def _spawn(log: Path, command: list[str]) -> subprocess.Popen[bytes]:
        with log.open("ab") as errors:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)

    def kill(self, service: str) -> None:
        process = self.processes.pop(service)
        process.kill()
        process.wait()

    async def storm(self) -> None:
        """Kill each, and both, and the server, again and again."""
        for _ in range(ROUNDS):
            for group in (["mill"], ["desk"], ["desk", "mill"]):
                for service in group:
                    self.kill(service)
                for service in reversed(group):
                    await self.start(service)
            self.server.kill()
            self.server.start()

    def open_at(self, service: str) -> int:
        connection = apsw.Connection(str(self.folder / f"{service}.db"), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        try:
            (count,) = connection.execute("select count(*) from onstage_execution where status < 6").fetchone()
        finally:
            connection.close()
        return int(count)

    def close(self) -> None:
        for service in tuple(self.processes):
            self.kill(service)
        self.server.kill()


@asynccontextmanager
async def yard_in(folder: Path) -> AsyncIterator[Yard]:
    yard = Yard(folder)
    yard.server.start()
    try:
        for service in SERVICES:
            await yard.start(service)
        yield yard
    finally:
        yard.close()


async def result_of(handle: WorkflowHandle[str]) -> str:
    try:
        return await handle.result()
    except AskFailed as error:
        return error.kind


async def called_off(handle: WorkflowHandle[str]) -> str:
    """Cancel it, again if it is not known whether that was heard; and see what became of it."""
    while True:
        try:
            await handle.cancel()
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        except UsageError:
            break  # an earlier attempt was heard, and it has ended
        else:
            break
    return await result_of(handle)


async def everything(client: Stage) -> list[list[object]]:
    names = [f"{n:0{n + 1}}" for n in range(EACH)]
    starts = [client.start(grind, f"quick-{name}", id=f"quick-{name}") for name in names]
    long = [client.start(grind, f"long-{name}", id=f"long-{name}") for name in names]
    orders = [client.start(order, f"order-{name}", id=f"order-{name}") for name in names]
    quick, off, parents = [await asyncio.gather(*each) for each in (starts, long, orders)]
    return await asyncio.gather(
        asyncio.gather(*(client.ask(GetPrice(f"sku-{name}"), id=f"sku-{name}") for name in names)),
        asyncio.gather(*(result_of(handle) for handle in quick)),
        asyncio.gather(*(called_off(handle) for handle in off)),
        asyncio.gather(*(called_off(handle) for handle in parents)),
    )


async def story(yard: Yard) -> None:
    async with connect(f"sqlite:///{yard.folder / 'desk.db'}", app) as client, asyncio.timeout(LIMIT_S):
        asking = asyncio.get_running_loop().create_task(everything(client))
        await yard.storm()
        prices, quick, off, parents = await asking
    assert prices == [len(f"sku-{n:0{n + 1}}") for n in range(EACH)]
    assert quick == [f"quick-{n:0{n + 1}} is ground" for n in range(EACH)]
    assert off == parents == ["cancelled"] * EACH
    async with asyncio.timeout(LIMIT_S):
        while await asyncio.to_thread(yard.open_at, "mill"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # another process: nothing here could be told of it


@pytest.mark.timeout(300)
def test_errands_survive_whatever_is_killed(tmp_path: Path) -> None:
    async def play() -> None:
        async with yard_in(tmp_path) as yard:
            await story(yard)
            keys: defaultdict[str, set[str]] = defaultdict(set)
            for line in yard.effects.read_text().splitlines():
                key, what = line.split()
                keys[what].add(key)
            assert [what for what, names in keys.items() if len(names) != 1] == []
            assert {f"sku-{n:0{n + 1}}" for n in range(EACH)} <= keys.keys()

    asyncio.run(play())

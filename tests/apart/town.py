"""Real processes around a real NATS server: started, killed, paused, cut off, and looked at from outside."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import apsw
from tests.apart import apart_app
from tests.apart.apart_app import SERVICES, Placed, app

from onstage import connect
from onstage.process_handle import ProcessHandle
from onstage.stage import Stage
from onstage.testing.nats_server import NatsServer
from onstage.testing.tcp_proxy import TcpProxy

WINDOW_S = 2
ROOT = str(Path(__file__).parents[2])
EVERYBODY = (*SERVICES, "observer")


@final
class Town:
    """A server, a proxy and a process for each service, and an observer."""

    def __init__(self, folder: Path, script: str = apart_app.__file__) -> None:
        self.folder = folder
        self.script = script
        self.server = NatsServer(folder / "nats")
        self.proxies = {name: TcpProxy(self.server.port) for name in EVERYBODY}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.effects = folder / "effects.txt"

    def store(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    async def open(self) -> None:
        self.server.start()
        for proxy in self.proxies.values():
            await proxy.start()
        for name in EVERYBODY:
            await self.start(name)

    async def start(self, name: str) -> None:
        """Start a process, and wait until it is ready."""
        broker = f"nats://127.0.0.1:{self.proxies[name].port}?window={WINDOW_S}s"
        command = [sys.executable, self.script, name, str(self.store(name)), broker, str(self.effects)]
        self.processes[name] = process = self._spawn(name, command)
        assert process.stdout is not None
        with process.stdout:
            line = await asyncio.to_thread(process.stdout.readline)
        assert line == b"ready\n", (self.folder / f"{name}.log").read_text()[-3000:]

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=os.environ | {"PYTHONPATH": ROOT})

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def forget(self, name: str) -> None:
        """Remove its store."""
        for path in self.folder.glob(f"{name}.db*"):
            path.unlink()

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    async def close(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                await asyncio.to_thread(process.wait, 20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for proxy in self.proxies.values():
            await proxy.stop()
        self.server.kill()

    # Looking.

    @contextmanager
    def reading(self, name: str) -> Iterator[apsw.Connection]:
        connection = apsw.Connection(str(self.store(name)), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        try:
            yield connection
        finally:
            connection.close()

    def query(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        with self.reading(name) as connection:
            return connection.execute(sql).fetchall()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@final
class Feeder:
    """Emits numbered orders, those of one key one after the other, until it is told to stop."""

    def __init__(self, keys: int) -> None:
        self.keys = keys
        self.accepted: dict[tuple[str, int], ProcessHandle] = {}
        self._stop = asyncio.Event()
        self._numbers: defaultdict[str, int] = defaultdict(int)

    def stop(self) -> None:
        self._stop.set()

    async def feed(self, store: Path) -> None:
        async with connect(f"sqlite:///{store}", app) as client, asyncio.TaskGroup() as workers:
            for number in range(self.keys):
                workers.create_task(self._feed_key(client, f"key-{number}"))

    async def _feed_key(self, client: Stage, key: str) -> None:
        while not self._stop.is_set():
            self._numbers[key] += 1
            order = Placed(key, self._numbers[key])
            self.accepted[order.key, order.seq] = await client.emit(order, id=f"{order.key}-{order.seq}")
            await asyncio.sleep(0.4)

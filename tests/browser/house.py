"""A theatre that runs as a node of its own, and the UI over its store."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from playwright.sync_api import Page
from tests.browser import theatre

from onstage import Envelope, connect
from onstage.stage import Stage
from onstage.web.source import Source
from onstage.web.web_app import Settings, make_app

ROOT = Path(__file__).resolve().parents[2]
MISSING = "Tests in a browser need Chromium: apt-get install chromium-headless-shell, or ONSTAGE_TEST_CHROMIUM=PATH."
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

Look = Callable[..., Page]


def find_chromium() -> str:
    """The browser's executable. Raises FileNotFoundError that says what to install."""
    named = os.environ.get("ONSTAGE_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(MISSING)
    return found


@dataclass
class House:
    """The theatre: its store, the node on it, the UI's address."""

    folder: Path
    url: str = ""
    node: subprocess.Popen[str] | None = None
    served: list[uvicorn.Server] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "theatre.db"

    @property
    def mended(self) -> Path:
        return self.folder / "mended"

    def open(self) -> None:
        """Start the node, and wait until it says that it is open."""
        command = [
            sys.executable,
            "-m",
            "onstage.cli.main",
            "run",
            "tests.browser.theatre:app",
            "--store",
            f"sqlite:///{self.store}",
        ]
        environment = {**os.environ, "THEATRE_MENDED": str(self.mended)}
        with (self.folder / "node.log").open("ab") as log:
            self.node = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.node.stdout is not None, "it was asked for"
        assert self.node.stdout.readline(), (self.folder / "node.log").read_text()

    def close(self) -> None:
        """Stop the UI, then the node."""
        for server in self.served:
            server.should_exit = True
        if self.node is not None and self.node.poll() is None:
            self.node.send_signal(signal.SIGTERM)
            self.node.wait(timeout=20)
        if self.node is not None and self.node.stdout is not None:
            self.node.stdout.close()

    def serve(self, **settings: Any) -> str:
        """Serve the UI from a thread; returns its address."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        config = uvicorn.Config(make_app(self.store, Settings(**settings)), port=port, log_level="error")
        server = uvicorn.Server(config)
        self.served.append(server)
        threading.Thread(target=server.run, daemon=True).start()
        pause = threading.Event()
        for _ in range(200):
            if server.started:
                return f"http://127.0.0.1:{port}"
            pause.wait(0.05)
        raise TimeoutError("the UI did not start")

    def emit(self, *events: Any) -> None:
        """Tell the node of events, or of envelopes, and wait until they are on disk."""

        async def tell(client: Stage) -> None:
            for each in events:
                await (client.emit_envelope(each) if isinstance(each, Envelope) else client.emit(each))

        self.through(tell)

    def through(self, act: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        """Act as a client of the node."""

        async def connected() -> None:
            async with connect(f"sqlite:///{self.store}", theatre.app) as client:
                await act(client)

        with ThreadPoolExecutor(1) as pool:  # the browser has a loop in this thread
            pool.submit(asyncio.run, connected()).result()

    def ask(self, path: str) -> Any:
        """What the API says."""
        return httpx2.get(self.url + path).raise_for_status().json()

    def stuck(self, key: str) -> int:
        """Order with a card that fails, and wait until that was set aside; returns the number of the execution."""
        self.emit(theatre.TicketsOrdered(key, 2, "offline"))
        for _ in range(200):
            page = self.ask(f"/api/v1/processes/{key}")
            if page["head"]["verdict"] == "stuck":
                return int(page["executions"][-1]["id"])
            threading.Event().wait(0.05)
        raise TimeoutError(f"{key} is expected to be stuck")

    def settled(self, count: int) -> None:
        """Wait until so many executions were set aside."""
        source, pause = Source(self.store), threading.Event()
        for _ in range(200):
            if len(source.read_here(lambda store: store.set_aside(handler=None, limit=count))) >= count:
                source.close()
                return
            pause.wait(0.05)
        raise TimeoutError(f"{count} dead letters are expected; see {self.folder / 'node.log'}")


def opened(folder: Path) -> House:
    """A theatre with its usual evening: most is well, two cards fail, a party waits, one asks for too much."""
    house = House(folder)
    try:
        house.open()
        ordered = theatre.TicketsOrdered
        house.emit(*(ordered(f"seat-{n}", 2) for n in range(1, 13)), ordered("party-1", 40), ordered("crowd-1", 400))
        house.emit(ordered("seat-20", 2, "offline"), ordered("seat-21", 3, "offline"))
        house.settled(2)
        house.url = house.serve()
    except BaseException:
        house.close()
        raise
    return house

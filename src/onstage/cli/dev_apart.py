"""`onstage dev --nats`: a NATS server, one process per service and an observer, all in one folder beside the app."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.printing import clean, note
from onstage.testing.nats_server import NatsServer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FOLDER", "Troupe", "kept_port"]

FOLDER: Final = ".onstage"
"""Where the stores and the server's data lie, in the present folder."""
LISTING_S_MAX: Final = 60.0
"""How long importing the app may take."""

_OBSERVER: Final = "observer"
_LIST: Final = """
import json, sys
from pathlib import Path
from onstage.cli.application import load_app
from onstage.cli.failures import report
try:
    print(json.dumps([service.name for service in load_app(sys.argv[1], Path(sys.argv[2]), Path.cwd()).services]))
except BaseException as error:
    sys.exit(report(error))
"""


@final
class Troupe:
    """The processes of `dev --nats`: started, looked after, started anew and stopped together."""

    def __init__(self, target: str, root: Path, see_off: Callable[[subprocess.Popen[bytes]], None]) -> None:
        """For the app at `target`, seen from `root`; `see_off` waits for what was told to end.

        Raises Failure or UsageError if there is no server, or its port is taken.
        """
        self.folder = Path(FOLDER)
        self.folder.mkdir(exist_ok=True)
        (self.folder / ".gitignore").write_text("*\n")
        self._target = target
        self._root = root
        self._see_off = see_off
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._said_so = False
        port = kept_port(self.folder / "nats.port")
        self._server = NatsServer((self.folder / "nats").resolve(), port, apart=True)

    def start(self) -> None:
        """Start the server, the observer, and a process per service."""
        self._server.start()
        note(f"nats-server: process {self._server.pid}, {self._server.url}, data in {self.folder / 'nats'}")
        self._begin(_OBSERVER)
        self._start_services()
        note(f"look: onstage ps --store {self._store(_OBSERVER)}")
        for service in [name for name in self._running if name != _OBSERVER][:1]:
            note(f"emit: onstage emit TYPE JSON --app {self._target} --store {self._store(service)}")

    def look_after(self, *, changed: bool) -> None:
        """Start the services anew if a file has changed; say who has ended."""
        if changed:
            self._end(*(name for name in self._running if name != _OBSERVER))
            if _OBSERVER not in self._running:
                self._begin(_OBSERVER)
            if not self._server.is_running:
                self._server.stop()
                self._server.start()
            self._start_services()
            return
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                note(f"{name} ended with exit code {process.returncode}; it is run anew when a file changes")
                del self._running[name]
        is_gone = not self._server.is_running
        if is_gone and not self._said_so:
            note("nats-server ended; it is run anew when a file changes")
        self._said_so = is_gone

    def stop(self) -> None:
        """Stop everything: the services first, so that they can say what they have to say."""
        self._end(*(name for name in self._running if name != _OBSERVER))
        self._end(*self._running)
        self._server.stop()

    def _start_services(self) -> None:
        services = self._services()
        for service in services:
            self._begin(service)
        if not services:
            note("no service runs; the app is looked at again when a file changes")

    def _services(self) -> list[str]:
        """The names of the app's services, found in a process of its own: the app changes while this one runs."""
        command = [sys.executable, "-c", _LIST, self._target, str(self._root)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LISTING_S_MAX, check=False)
        names: list[str] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else []
        return names

    def _begin(self, name: str) -> None:
        quiet = ["--handlers", "--log-level", "warning"]
        what = ["observe"] if name == _OBSERVER else ["run", self._target, "-s", name, *quiet]
        command = [*what, "--broker", self._server.url, "--store", self._store(name)]
        # A session of its own: Ctrl-C reaches it through us only, so that it is told once.
        process = subprocess.Popen([sys.executable, "-m", "onstage.cli.main", *command], start_new_session=True)
        self._running[name] = process
        click.echo(f"{clean(name)}: process {process.pid}, {self._store(name)}")

    @property
    def view(self) -> str:
        """The observer's store, which has whole processes."""
        return self._store(_OBSERVER)

    def _store(self, name: str) -> str:
        return f"sqlite:///{self.folder / ('view.db' if name == _OBSERVER else f'onstage-{name}.db')}"

    def _end(self, *names: str) -> None:
        ending = [self._running.pop(name) for name in names]
        for process in ending:
            if process.poll() is None:
                process.terminate()
        for process in ending:
            self._see_off(process)


def kept_port(file: Path) -> int:
    """The port of the last time, so that what names it goes on working; a free one, which is kept, the first time.

    Raises Failure if somebody else has it: two servers on the same data would spoil it.
    """
    kept = file.read_text().strip() if file.exists() else ""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(kept) if kept.isdecimal() else 0))
        except OSError as error:
            raise Failure(
                f"port {kept} of the NATS server in {file.parent} is taken",
                f"another `onstage dev --nats` runs here, or a server that one left behind ({error.strerror})",
                f"stop it, or delete {file} if it is somebody else's port",
                code=Exit.UNREACHABLE,
            ) from error
        port: int = probe.getsockname()[1]
    file.write_text(f"{port}\n")
    return port

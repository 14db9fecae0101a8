"""A PostgreSQL server for tests: a cluster of its own in a temporary folder, on a free port, killed at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, final

from onstage.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PostgresServer", "find_postgres"]

START_S_MAX: Final = 30.0
_LOOK_S: Final = 0.02
_USERS: Final = ("postgres", "nobody")
_SETTINGS: Final = ("fsync=off", "full_page_writes=off", "max_connections=40", "shared_buffers=16MB", "jit=off")


def find_postgres() -> Path:
    """The folder of `initdb` and `postgres`: from the PATH, else the newest below /usr/lib/postgresql.

    Raises UsageError if there is none.
    """
    found = [Path(path).resolve().parent for path in (shutil.which("initdb"),) if path is not None]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise UsageError(
        "no PostgreSQL server is found\n  why: there is no initdb on the PATH and nothing in /usr/lib/postgresql\n"
        "  to do: apt-get install postgresql-15, or name a running server: ONSTAGE_TEST_POSTGRES=postgresql://..."
    )


@final
class PostgresServer:
    """One server and its cluster; as a context manager it runs inside. Nothing of it is safe from a power cut.

    PostgreSQL refuses to run as root: then it runs as another user. Leaving the context removes the cluster.
    """

    def __init__(self) -> None:
        """Take a port and a temporary folder; the cluster is made at the first start."""
        self._bin = find_postgres()
        self._folder = Path(tempfile.mkdtemp(prefix="onstage-postgres-"))
        self._user = _unprivileged()
        self._group = None if self._user is None else pwd.getpwnam(self._user).pw_gid
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _unused_port()

    @property
    def url(self) -> str:
        """Its database, as `postgresql://...`."""
        return f"postgresql://onstage@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Make the cluster if there is none, start the server and wait until it answers. Raises UsageError."""
        assert self._process is None, "it runs already"
        data = self._folder / "data"
        if not data.exists():
            self._make(data)
        options = [f"listen_addresses=127.0.0.1 port={self.port}".split(), ["unix_socket_directories="], [*_SETTINGS]]
        settings = [part for each in options for option in each for part in ("-c", option)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", str(data), *settings],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else [],
            )
        until = time.monotonic() + START_S_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise _does_not_start((self._folder / "log").read_text()[-500:])
            time.sleep(_LOOK_S)

    def kill(self) -> None:
        """End it at once, and its children with it; its cluster stays. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(START_S_MAX)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it and remove its cluster."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, data: Path) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        command = [self._bin / "initdb", "-D", data, "-U", "onstage", "--auth=trust", "--no-sync", "-E", "UTF8"]
        made = subprocess.run(
            [*map(str, command), "--locale=C"],
            cwd=self._folder,
            capture_output=True,
            user=self._user,
            group=self._group,
            extra_groups=None if self._user is None else [],
            check=False,
        )
        if made.returncode:
            raise _does_not_start(made.stderr.decode(errors="replace")[-500:])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # asks for TLS: answered even before recovery
                ready = (self._folder / "data" / "postmaster.pid").read_text().rstrip().endswith("ready")
                return bool(connection.recv(1)) and ready
        except OSError:
            return False


def _unprivileged() -> str | None:
    """Another user, if we are root; None if we may run it ourselves."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _USERS if name in names), None)


def _does_not_start(why: str) -> UsageError:
    return UsageError(
        f"PostgreSQL does not start\n  why: {why!r}\n  to do: see that the folder can be written and its port is free"
    )


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

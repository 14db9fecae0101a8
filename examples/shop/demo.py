"""A day at the prop shop, with a crash at noon: `make demo`, or `python examples/shop/demo.py`. Under a minute.

Starts the shop as a process of its own, sends it 1,000 orders, kills it with SIGKILL half-way, starts it again, and
then checks from outside that nothing was lost and nothing happened twice. Exit code 1 if anything is off.

It leaves one more order behind that is stuck, because the bank could not be reached, for you to find and mend.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from time import perf_counter, sleep, time_ns
from typing import Final

from app import app
from checks import (
    CHECKS,
    Evidence,
    Noon,
    collect,
    event_log,
    refused_serenades,
    repeated_by_the_crash,
    undone,
    wrong_verdicts,
)
from events import Order, OrderPlaced
from feed import Feeder, Line, read_orders

from onstage import connect
from onstage.errors import OperationError

SHOP: Final = Path(__file__).resolve().parent
APPROVAL_WITHIN: Final = "12s"  # a day, in a hurry
STUCK: Final = "order-hamlet"
SET_ASIDE_S: Final = 30
AUDIT_BEHIND_S: Final = 60


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

    def _start(self, **more: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SHOP_WORLD": str(self.world), "SHOP_APPROVAL_WITHIN": APPROVAL_WITHIN, **more}
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

    def start_without_bank(self) -> None:
        """Start it on a morning on which the line to the bank is dead."""
        self.process = self._start(SHOP_BANK="unreachable")
        self._wait_until_open()

    def stop(self) -> None:
        """Stop it politely."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def judged(feeder: Feeder, *, within: str) -> dict[str, str]:
    """Wait until every order has ended, at most so long; what the verdict on each says then, if it is a final one."""
    asked = (process.verdict(timeout=within) for process in feeder.processes.values())
    verdicts = zip(feeder.processes, await asyncio.gather(*asked, return_exceptions=True), strict=True)
    found: dict[str, str] = {}
    for order_id, verdict in verdicts:
        if isinstance(verdict, BaseException):
            if not isinstance(verdict, OperationError):
                raise verdict
            continue  # the observer reads on after the crash, and answers nobody yet
        if verdict.is_final:
            found[order_id] = str(verdict)
    return found


async def one_day(
    url: str, crash: Callable[[], None], in_time: list[Line], late: list[Line]
) -> tuple[list[dict[str, str]], int]:
    """Send everything to the store at `url`, with a crash half-way.

    Return the final verdicts of each time of asking, by order, and when the sending was over (ms).
    """
    async with connect(url, app) as client:
        feeder = Feeder(client, lambda sent: crash() if sent == len(in_time) // 2 else None)
        started = perf_counter()
        await feeder.send_all(in_time)
        evening_ms = time_ns() // 1_000_000
        print(f"  evening   all {len(in_time)} events are accepted, after {perf_counter() - started:.1f} s")
        verdicts = [await judged(feeder, within="0s")]  # while what the crash has cut off is still made up for
        print(f"  night     big orders wait for a decision, {APPROVAL_WITHIN} at most")
        verdicts.append(await judged(feeder, within="30s"))
        await feeder.send_all(late)
        print(f"  next day  {len(late)} approvals come too late and change nothing; every order has ended")
        return [*verdicts, await judged(feeder, within="5s")], evening_ms


async def one_gets_stuck(url: str) -> bool:
    """Place an order that nobody can charge, and wait until its payment was set aside; whether that came to pass."""
    order = Order("Hamlet", "Elsinore", "thunder sheet", 1, 24_900, "card-1601")
    async with connect(url, app) as client:
        process = await client.emit(OrderPlaced(STUCK, order), id="checkout-of-hamlet")
        for _ in range(SET_ASIDE_S * 10):
            if (await process.verdict()).status == "stuck":
                return True
            await asyncio.sleep(0.1)
    return False


def let_audit_catch_up(stores: Mapping[str, Path]) -> None:
    """Wait until the audit has heard all there is: no order waits for it, so it may be behind when all have ended."""
    files, until = set(stores.values()), perf_counter() + AUDIT_BEHIND_S
    with closing(sqlite3.connect(stores["audit"])) as connection:
        while perf_counter() < until:
            ((heard,),) = connection.execute("select count(*) from audit_log")
            if heard >= len(event_log(files)):
                return
            sleep(0.2)


def report(found: Evidence, verdicts: list[dict[str, str]], evening_ms: int) -> bool:
    """Print what happened and what the checks say; return whether all is well."""
    counts = Counter(names[0].removeprefix("shop.") for names in found.outcomes.values() if names)
    taken_back = undone(found)
    while_fed = [ms for ms in found.logged_ms if ms <= evening_ms]
    rate = len(while_fed) / max(evening_ms - while_fed[0], 1) * 1000
    print("\nOutcomes  " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    print(f"Undone    {len(taken_back)} orders, each effect once: refunded, unwrapped, put back")
    print(f"Events    {len(found.events)} in the log; {rate:,.0f}/s during the day, the crash included")
    print(
        f"World     {len(found.effects)} effects, {repeated_by_the_crash(found)} of them repeated with the same key\n"
    )
    trouble = {text: list(check(found)) for text, check in CHECKS.items()}
    trouble["each order's verdict is what truly happened, whenever it was final"] = list(
        wrong_verdicts(found, verdicts)
    )
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
    print(f"\nThe next morning the bank could not be reached: {STUCK} is stuck. See why and mend it in the browser:")
    print(f"  cd {SHOP} && {onstage} dev app:app --store {node.url}")


def main() -> int:
    """Run the day; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="onstage-shop-"))
    in_time, late = read_orders()
    print(f"A day at the prop shop, in {folder}")
    node = Node(folder)
    print("  morning   the node is open")
    stores = {service.name: node.db for service in app.services}
    try:
        verdicts, evening_ms = asyncio.run(one_day(node.url, node.crash_and_start_again, in_time, late))
        let_audit_catch_up(stores)
    finally:
        node.stop()
    found = collect(stores, node.world, in_time, node.noon)
    is_well = report(found, verdicts, evening_ms)
    node.start_without_bank()
    try:
        is_stuck = asyncio.run(one_gets_stuck(node.url))
    finally:
        node.stop()
    what_next(node, found)
    return 0 if is_well and is_stuck else 1


if __name__ == "__main__":
    sys.exit(main())

"""A day at the prop shop, with a crash at noon: `make demo`, or `python examples/shop/demo.py`. Under a minute.

Starts the shop as a process of its own, sends it 1,000 orders, kills it with SIGKILL half-way, starts it again, and
then checks from outside that nothing was lost and nothing happened twice. Exit code 1 if anything is off.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Final

from app import app
from checks import CHECKS, Evidence, collect, refused_serenades, repeated_by_the_crash
from feed import Feeder, Line, read_orders

from onstage import connect

SHOP: Final = Path(__file__).resolve().parent
APPROVAL_WITHIN: Final = "10s"  # a day, in a hurry
ENDED_WITHIN_S: Final = 40


class Node:
    """The shop as an OS process, with its store and the world's notes in one folder."""

    def __init__(self, folder: Path) -> None:
        """Start it; it need not be ready yet, clients wait."""
        self.folder = folder
        self.db = folder / "shop.db"
        self.url = f"sqlite:///{self.db}"
        self.world = folder / "world.jsonl"
        self.noted_before_kill = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SHOP_WORLD": str(self.world), "SHOP_APPROVAL_WITHIN": APPROVAL_WITHIN}
        command = [sys.executable, str(SHOP / "node.py"), self.url]
        with (self.folder / "node.log").open("ab") as log:
            return subprocess.Popen(command, cwd=SHOP, env=environment, stdout=log, stderr=log)

    def crash_and_start_again(self) -> None:
        """Kill it without a warning, see what had happened until then, and start it again."""
        self.process.kill()
        self.process.wait()
        self.noted_before_kill = len(self.world.read_bytes().splitlines())
        print("  noon     the node is killed (SIGKILL) and started again")
        self.process = self._start()

    def stop(self) -> None:
        """Stop it politely."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def ended(feeder: Feeder) -> Counter[str]:
    """Wait until every order has ended, and count what the verdicts say."""
    async with asyncio.timeout(ENDED_WITHIN_S):
        asked = (process.verdict(timeout=f"{ENDED_WITHIN_S}s") for process in feeder.processes.values())
        verdicts = await asyncio.gather(*asked)
    return Counter(f"{verdict.status}: {verdict.outcome}" for verdict in verdicts)


async def one_day(node: Node, in_time: list[Line], late: list[Line]) -> tuple[Counter[str], float]:
    """Send everything, with a crash half-way; return the verdicts, and the seconds the sending took."""
    async with connect(node.url, app) as client:
        feeder = Feeder(client, lambda sent: node.crash_and_start_again() if sent == len(in_time) // 2 else None)
        started = perf_counter()
        await feeder.send_all(in_time)
        fed_s = perf_counter() - started
        print(f"  evening  {len(in_time)} events sent in {fed_s:.1f} s, {feeder.again} of them again after the crash")
        await ended(feeder)
        await feeder.send_all(late)
        print(f"  next day {len(late)} approvals come too late; all orders have ended")
        return await ended(feeder), fed_s


def report(found: Evidence, verdicts: Counter[str], fed_s: float) -> bool:
    """Print what happened and what the checks say; return whether all is well."""
    counts = Counter(names[0].removeprefix("shop.") for names in found.outcomes.values() if names)
    print("\nOutcomes  " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    print(f"Events    {len(found.events)} in the log, {found.events_while_fed / fed_s:,.0f}/s while feeding, crash included")
    print(f"World     {len(found.effects)} effects, {repeated_by_the_crash(found)} repeated with the same key\n")
    said = Counter(f"completed: {name}" for names in found.outcomes.values() for name in names)
    trouble = {text: list(check(found)) for text, check in CHECKS.items()}
    trouble["the verdicts say what the log says"] = [] if verdicts == said else [f"{verdicts} is not {said}"]
    for text, wrong in trouble.items():
        print(f"  {'FAILED' if wrong else 'ok'}  {text}")
        print("".join(f"          {line}\n" for line in wrong[:3]), end="")
    return not any(trouble.values())

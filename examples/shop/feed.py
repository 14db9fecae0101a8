"""Read orders.jsonl and send it to the shop as a web shop would: many at once, the lines of one order in order."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from onstage.process_handle import ProcessHandle
from onstage.stage import Stage

AT_ONCE: Final = 64


class Line(msgspec.Struct, frozen=True):
    """One CloudEvent: what we need to know of it, and its text."""

    type: str
    subject: str
    time: datetime
    data: msgspec.Raw
    text: bytes = b""


def read_orders() -> tuple[list[Line], list[Line]]:
    """Return the lines of the day, and the decisions that come after the shop has given up waiting for them."""
    texts = Path(__file__).with_name("orders.jsonl").read_bytes().splitlines()
    lines = [msgspec.structs.replace(msgspec.json.decode(text, type=Line), text=text) for text in texts]
    placed = {line.subject: line.time for line in lines if line.type == "shop.order-placed"}
    late = [line for line in lines if line.time > placed[line.subject] + timedelta(hours=24)]
    return [line for line in lines if line not in late], late


class Feeder:
    """Sends lines and remembers the process of each order.

    When the node dies, the client sends what was not answered again, with the same ids, until a node is back; so the
    crash needs no line of code here.
    """

    def __init__(self, client: Stage, on_sent: Callable[[int], None]) -> None:
        """Send through this client; `on_sent` hears how many lines were accepted so far."""
        self.client = client
        self.on_sent = on_sent
        self.sent = 0
        self.processes: dict[str, ProcessHandle] = {}
        self._accepted: dict[str, asyncio.Event] = {}

    async def send_all(self, lines: Iterable[Line]) -> None:
        """Return when all lines are accepted, which means durable."""
        waiting = iter(lines)
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(self._work(waiting))

    async def _work(self, waiting: Iterable[Line]) -> None:
        for line in waiting:
            earlier, own = self._accepted.get(line.subject), asyncio.Event()
            self._accepted[line.subject] = own
            if earlier:
                await earlier.wait()
            process = await self.client.emit_envelope(line.text)
            self.processes.setdefault(line.subject, process)
            own.set()
            self.sent += 1
            self.on_sent(self.sent)

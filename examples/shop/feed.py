"""Read orders.jsonl and send it to the shop as a web shop would: many at once, with ids, and again when in doubt."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from events import OrderApproved, OrderPlaced, OrderRejected

from onstage.client import Client, ProcessHandle
from onstage.errors import OperationError

AT_ONCE: Final = 64
GIVEN_UP_AFTER_S: Final = 30.0
FROM_OUTSIDE: Final = {
    "shop.order-placed": OrderPlaced,
    "shop.order-approved": OrderApproved,
    "shop.order-rejected": OrderRejected,
}


class Line(msgspec.Struct, frozen=True):
    """One line of the file: as much of a CloudEvent as we need."""

    id: str
    type: str
    subject: str
    time: datetime
    data: msgspec.Raw

    @property
    def event(self) -> OrderPlaced | OrderApproved | OrderRejected:
        """The event in it."""
        return msgspec.json.decode(self.data, type=FROM_OUTSIDE[self.type])


def read_orders() -> tuple[list[Line], list[Line]]:
    """Return the lines of the day, and the decisions that come after the shop has given up waiting for them."""
    text = Path(__file__).with_name("orders.jsonl").read_bytes()
    lines = [msgspec.json.decode(line, type=Line) for line in text.splitlines()]
    placed = {line.subject: line.time for line in lines if line.type == "shop.order-placed"}
    late = [line for line in lines if line.time > placed[line.subject] + timedelta(hours=24)]
    return [line for line in lines if line not in late], late


class Feeder:
    """Sends lines, up to 64 at once, those of one order in order. `processes` has each order's, `again` counts."""

    def __init__(self, client: Client, on_sent: Callable[[int], None]) -> None:
        """Send through this client; `on_sent` hears how many lines were accepted."""
        self.client = client
        self.on_sent = on_sent
        self.again = 0
        self.sent = 0
        self.processes: dict[str, ProcessHandle] = {}
        self._accepted: dict[str, asyncio.Event] = {}

    async def send_all(self, lines: Iterable[Line]) -> None:
        """Return when all were accepted: from then on they are durable."""
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
            process = await self._send(line)
            self.processes.setdefault(line.subject, process)
            own.set()
            self.sent += 1
            self.on_sent(self.sent)

    async def _send(self, line: Line) -> ProcessHandle:
        """Send one line until it is accepted, always with the same id."""
        async with asyncio.timeout(GIVEN_UP_AFTER_S):
            for _ in itertools.count():
                try:
                    return await self.client.emit(line.event, id=line.id)
                except (OperationError, OSError):  # nobody there: the node may be starting again
                    self.again += 1
                    await asyncio.sleep(0.1)
        raise AssertionError("unreachable: count() does not end")

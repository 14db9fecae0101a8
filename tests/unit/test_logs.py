"""Log lines of handlers and steps say where they were written."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from onstage import App, Service, event, step
from onstage.logs import KEYS, JsonLines, LogContext

log = logging.getLogger("shop")


@event("logs.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


shop = Service("shop")


@step
def charge(id: str) -> None:
    log.warning("in the step of %s", id)


@shop.on(Placed)
async def take(e: Placed) -> None:
    log.warning("in the handler of %s", e.id)
    await charge(e.id)


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(LogContext())
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = Lines()
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


def test_a_line_names_process_execution_handler_and_step(lines: list[str]) -> None:
    async def work() -> str:
        async with App(shop).run("memory:") as stage:
            process = await stage.emit(Placed("o1"))
            await process.verdict(timeout=10)
            log.warning("outside")
            return process.id

    process = asyncio.run(work())
    in_handler, in_step, outside = (msgspec.json.decode(line) for line in lines)
    known = {"onstage_process": process, "onstage_execution": f"{process}/shop.take", "onstage_handler": "shop.take"}
    assert {key: in_handler.get(key) for key in KEYS} == {**known, "onstage_step": None}
    assert {key: in_step[key] for key in KEYS} == {**known, "onstage_step": "charge#0"}
    assert in_step["message"] == "in the step of o1"
    assert not set(KEYS) & set(outside)

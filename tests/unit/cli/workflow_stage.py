"""An app with a workflow and a request, and a node that runs on it while the command line is called."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

APP = """
from dataclasses import dataclass

from onstage import App, Process, Reject, Request, Service, event, wait
from onstage.state import state


@event(key="sku")
@dataclass(frozen=True)
class GetQuote(Request[int]):
    sku: str


@event(key="key")
@dataclass(frozen=True)
class Go:
    key: str


shop = Service("shop")


@shop.answers
async def quote(q: GetQuote) -> int:
    if not q.sku:
        raise Reject("no such thing")
    return len(q.sku)


@shop.workflow
async def fulfil(order: str) -> str:
    state["stage"] = f"waiting for {order}"
    if order == "slow":
        await wait(Go)
    return f"{order} is done"


@shop.on(Go)
async def note(e: Go) -> None:
    pass


app = App(shop)
"""


def rewrite(tiny: Any) -> None:
    (tiny.folder / f"{tiny.module}.py").write_text(APP)


@contextmanager
def running(tiny: Any) -> Iterator[None]:
    """A node on the store, on a loop in a thread of its own."""
    rewrite(tiny)
    ready, stop = threading.Event(), threading.Event()

    async def node() -> None:
        async with tiny.app().run(f"sqlite:///{tiny.store}"):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(node()))
    thread.start()
    try:
        assert ready.wait(20), "the node did not start"
        yield
    finally:
        stop.set()
        thread.join()

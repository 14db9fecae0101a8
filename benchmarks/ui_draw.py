"""How long the two largest pages of the web UI take until a browser has drawn them: `python -m benchmarks.ui_draw`.

A real Chromium opens each in a fresh profile, so nothing is cached and no layout is known. The time goes from the start
of the navigation to the second frame after everything has been placed, network and server included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from random import Random  # seeded: the same map in each run
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright
from tests.browser.house import find_chromium

from benchmarks.chain_app import make, make_event
from benchmarks.ui_store import build
from onstage import App, Process, Service
from onstage.ports.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

__all__ = ["ui_draw"]

EXECUTIONS: Final = 1_000
SERVICES: Final = 300
WINDOW: Final = {"width": 1360, "height": 860}
DRAWN: Final = """() => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""


def many_services(count: int) -> tuple[App, type[Any]]:
    """So many services in one long choreography, each with one to three possible ways ahead."""
    chance = Random(count)
    types = [make_event(f"drawn-{number}") for number in range(count + 1)]
    services = []
    for number in range(count):
        service = Service(f"service-{number}")
        ahead = sorted({min(count, number + 1 + chance.randrange(6)) for _ in range(chance.randrange(1, 4))})

        async def react(e: Any) -> Any: ...

        react.__annotations__ = {"e": types[number]}
        service.on(types[number], name="react", emits=[types[place] for place in ahead])(react)
        services.append(service)
    return App(*services, Process("long", starts=types[0], done=types[count])), types[0]


async def _declare(path: Path, count: int) -> None:
    app, first = many_services(count)
    async with app.run(f"sqlite:///{path}") as stage:
        await stage.emit(make(first, 1))


@contextmanager
def _served(path: Path) -> Iterator[str]:
    serve = [sys.executable, "-m", "onstage.cli.main", "ui", f"sqlite:///{path}", "--port", "0", "-o", "json"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as ui:
        assert ui.stdout is not None, "it was asked for"
        try:
            yield json.loads(ui.stdout.readline())["url"]
        finally:
            ui.terminate()


@contextmanager
def _browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield browser
        browser.close()


def _drawn_ms(browser: Browser, url: str, *, what: str, at_least: int) -> float:
    context = browser.new_context(viewport=WINDOW)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        page.wait_for_selector("html[data-ready]", state="attached")
        took = float(page.evaluate(DRAWN))
        found = page.locator(what).count()
        assert found >= at_least, f"{found} of {at_least} {what} were drawn"
        return took
    finally:
        context.close()


def ui_draw(times: int) -> dict[str, float]:
    """Median and slowest of so many openings (ms): a process of 1,000 executions, and a map of 300 services."""
    with tempfile.TemporaryDirectory() as folder:
        large, wide = Path(folder) / "large.db", Path(folder) / "wide.db"
        build(large, executions=10_000, open_processes=100, now_ms=SystemClock().now_ms())
        asyncio.run(_declare(wide, SERVICES))
        with _browser() as browser, _served(large) as over_large, _served(wide) as over_wide:
            pages = (
                ("process", f"{over_large}/processes/large", '#timeline a[id^="bar-"]', EXECUTIONS),
                ("map", f"{over_wide}/map", "svg .node", 2),
                ("whole_map", f"{over_wide}/map?whole=1", "svg .node", SERVICES),
            )
            found: dict[str, float] = {}
            for name, url, what, at_least in pages:
                took = [_drawn_ms(browser, url, what=what, at_least=at_least) for _ in range(times)]
                found |= {f"{name}_ms": statistics.median(took), f"{name}_slowest_ms": max(took)}
            return found


def main() -> None:
    """Measure it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui_draw")
    parser.add_argument("--times", type=int, default=9)
    print(json.dumps(ui_draw(parser.parse_args().times), indent=2))


if __name__ == "__main__":
    main()

"""What it costs a node at full load that somebody looks: throughput with the web UI open, and memory as time goes by.

`python -m benchmarks.ui_open [--pairs 9] [--memory SECONDS [--alone]]`. The UI is a process of its own, as
`onstage dev` starts it. A further process does what the browser does: it listens for changes, and fetches its page
again at each, at most four times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.chain_app import chain, make
from onstage.cli.run_node import tune_collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.stage import Stage

__all__ = ["looked_at", "memory", "ui_open"]

PAGES = {"/": "attention", "/processes": "processes"}
HOPS = 10
AT_ONCE = 500
AGAIN_S = 0.25
WARM_S = 60.0
STEP_OFF_S = 20


@contextmanager
def looked_at(path: Path) -> Iterator[int]:
    """The UI over this store, with each of the pages open; gives the UI's process id."""
    serve = [sys.executable, "-m", "onstage.cli.main", "ui", f"sqlite:///{path}", "--port", "0", "-o", "json"]
    with ExitStack() as stack:
        ui = stack.enter_context(subprocess.Popen(serve, stdout=subprocess.PIPE, text=True))
        stack.callback(ui.terminate)
        assert ui.stdout is not None, "it was asked for"
        url = json.loads(ui.stdout.readline())["url"]
        for page in PAGES:
            look = [sys.executable, "-m", "benchmarks.ui_open", "--look", url + page]
            looking = stack.enter_context(subprocess.Popen(look, stdout=subprocess.PIPE, text=True))
            stack.callback(looking.terminate)
            assert looking.stdout is not None, "it was asked for"
            assert looking.stdout.readline(), "the page did not open"
        yield ui.pid


def look(url: str) -> None:
    """Have a page open, for ever."""
    at = urlsplit(url)
    stream, pages = (http.client.HTTPConnection(at.netloc, timeout=60) for _ in range(2))
    stream.request("GET", f"/api/v1/live?topic={PAGES[at.path]}")
    notices, fetched = stream.getresponse(), 0
    while line := notices.readline():
        if not line.startswith(b"data:"):
            continue
        pages.request("GET", at.path, headers={"Accept": "text/html"})
        answer = pages.getresponse()
        assert answer.read(), "a page is never empty"
        assert answer.status == http.client.OK, answer.status
        if not fetched:
            print("open", flush=True)
        fetched += 1
        time.sleep(AGAIN_S)


async def _load(stage: Stage, first: type[Any], *, total: int = 0, until: float = 0.0) -> int:
    """Begin processes, so many at a time, and wait for the end of each; returns how many there were."""
    begun = 0

    async def client() -> None:
        nonlocal begun
        while begun < total or time.monotonic() < until:
            begun += 1
            process = await stage.emit(make(first, begun))
            verdict = await process.verdict(timeout=None)
            assert verdict.status == "completed", verdict

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return begun


async def _rate(total: int, *, looks: bool) -> float:
    """Processes a second, on a fresh store, once it is warm."""
    app, first = chain(HOPS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        async with app.run(f"sqlite:///{path}") as stage:
            await _load(stage, first, total=AT_ONCE)
            with looked_at(path) if looks else nullcontext():
                start = time.perf_counter()
                done = await _load(stage, first, total=total)
                return done / (time.perf_counter() - start)


def ui_open(pairs: int, total: int) -> dict[str, float]:
    """Throughput with the UI open, as a share of that without; the two of a pair run one after the other."""
    shares = []
    for turn in range(pairs):
        order = (False, True) if turn % 2 else (True, False)
        rates = {looks: asyncio.run(_rate(total, looks=looks)) for looks in order}
        shares.append(rates[True] / rates[False])
    return {"of_throughput": statistics.median(shares), "lowest": min(shares), "highest": max(shares)}


def _resident(process: str) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


async def _memory(seconds: float, *, looks: bool) -> dict[str, float]:
    app, first = chain(HOPS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        async with app.run(f"sqlite:///{path}") as stage:
            await _load(stage, first, total=AT_ONCE)
            with looked_at(path) if looks else nullcontext() as ui:
                named = {"node": "self"} | ({"ui": str(ui)} if looks else {})
                began = time.monotonic()
                done = await _load(stage, first, until=began + WARM_S)
                warm = {name: _resident(of) for name, of in named.items()}
                done += await _load(stage, first, until=began + WARM_S + seconds)
                grown = {name: _resident(of) / warm[name] - 1 for name, of in named.items()}
    shown = {f"{name}_mib_once_warm": each / 2**20 for name, each in warm.items()}
    return {"seconds": seconds, "processes": done} | shown | {f"{name}_growth": each for name, each in grown.items()}


def memory(seconds: float, *, looks: bool = True) -> dict[str, float]:
    """How much more memory node and UI have after so long at full load, once they were warm; or the node alone."""
    return asyncio.run(_memory(seconds, looks=looks))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui_open")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--total", type=int, default=4000)
    parser.add_argument("--memory", type=float, metavar="SECONDS")
    parser.add_argument("--alone", action="store_true", help="with --memory: without the UI, to compare with")
    parser.add_argument("--look", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.look:
        look(chosen.look)
        return
    tune_collector()
    asked = chosen.memory
    found = memory(asked, looks=not chosen.alone) if asked else ui_open(chosen.pairs, chosen.total)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

"""Doors in trouble: a full disk, a locked file, a node killed with -9; and who gets the store.

Run as a program, this file is the other OS process: `python test_doors.py node|client|holder URL`.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from onstage import App, Process, Service, connect, event, step
from onstage.errors import StoreUnavailable
from onstage.stage import Stage

PATIENCE_S = 30
EVENTS = 60


@event("door.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str
    ballast: str = ""


@event("door.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


shop = Service("shop")


@step
async def charge(order_id: str) -> str:
    return order_id


@shop.on(Placed)
async def take(e: Placed) -> Paid:
    return Paid(await charge(e.id))


APP = App(shop, Process("order", starts=Placed, done=Paid))


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return f"sqlite:///{tmp_path}/shop.db"


async def once_each(stage: Stage) -> Counter[str]:
    """How many processes and payments there are of each key, once nothing is open."""
    async with stage.reading() as reader, asyncio.timeout(PATIENCE_S):
        for row in await reader.processes(limit=10_000):
            process = await stage.process(row.wire_id)
            assert (await process.verdict(timeout=PATIENCE_S)).outcome == "door.paid"
        return Counter(event.type + " " + str(event.key) for event in await reader.events(limit=100_000))


# --- a full disk ------------------------------------------------------------------------------------------


async def on_the_writer(stage: Stage, work: Callable[[Any], None]) -> None:
    """Do something with the writer's connection, on its own thread."""
    node, done = stage._node, asyncio.Event()  # noqa: SLF001
    assert node is not None
    loop = asyncio.get_running_loop()

    def act() -> None:
        work(node.store._writer.connection)  # type: ignore[attr-defined]  # noqa: SLF001
        loop.call_soon_threadsafe(done.set)

    node.workers.submit(act)
    await done.wait()


async def emit_until_refused(stage: Stage) -> tuple[StoreUnavailable, list[asyncio.Task[Any]]]:
    """Emit until the door says no; also answers what was accepted before and is not yet acknowledged."""
    sent: list[asyncio.Task[Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        for number in range(10_000):
            task = asyncio.create_task(stage.emit(Placed(f"o{number}", "x" * 4000), id=f"place-{number}"))
            await asyncio.wait([task], timeout=0.02)
            if task.done() and isinstance(error := task.exception(), StoreUnavailable):
                return error, sent
            sent.append(task)
    raise AssertionError("the door never said no")


async def accepted_once(stage: Stage, sent: list[asyncio.Task[Any]]) -> None:
    """After the cure everything accepted is acknowledged, and work goes on."""
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*sent)
        await stage.emit(Placed("after"))
        counts = await once_each(stage)
    assert set(counts.values()) == {1}
    assert len(counts) == 2 * (len(sent) + 1)


def test_a_full_disk_is_said_and_nothing_accepted_is_lost(url: str) -> None:
    def fill(connection: Any) -> None:
        pages = connection.pragma("page_count")
        connection.pragma("max_page_count", pages + 8)

    def cure(connection: Any) -> None:
        connection.pragma("max_page_count", 1 << 30)

    async def story() -> None:
        async with APP.run(url) as stage:
            await on_the_writer(stage, fill)
            error, sent = await emit_until_refused(stage)
            what, why, mend = str(error).splitlines()
            assert what == "the disk is full"
            assert why.startswith("  why: ")
            assert mend == "  to do: free space; work goes on by itself"
            assert any(not task.done() for task in sent)
            await on_the_writer(stage, cure)
            await accepted_once(stage, sent)

    asyncio.run(story())


def test_a_locked_file_is_said_and_nothing_accepted_is_lost(url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with APP.run(url) as stage:
            intruder = apsw.Connection(str(tmp_path / "shop.db"))
            intruder.execute("BEGIN IMMEDIATE")
            error, sent = await emit_until_refused(stage)
            assert str(error).startswith("the store is locked\n  why: another program holds a write transaction")
            assert "to do: let it finish or stop it" in str(error)
            intruder.execute("ROLLBACK")
            intruder.close()
            await accepted_once(stage, sent)

    asyncio.run(story())


def test_a_node_closed_on_a_full_disk_keeps_what_it_acknowledged(url: str) -> None:
    def fill(connection: Any) -> None:
        connection.pragma("max_page_count", connection.pragma("page_count"))

    async def story() -> None:
        async with APP.run(url) as stage:
            await (await stage.emit(Placed("before"), id="before")).verdict(timeout=PATIENCE_S)
            await on_the_writer(stage, fill)
            _, sent = await emit_until_refused(stage)
            stage.drain_s = 0
        results = await asyncio.gather(*sent, return_exceptions=True)
        refused = [result for result in results if isinstance(result, BaseException)]
        assert refused
        assert all(isinstance(result, StoreUnavailable) for result in refused)
        async with APP.run(url) as stage:
            for number in range(len(sent)):  # whoever heard no answer sends the same again
                await stage.emit(Placed(f"o{number}", "x" * 4000), id=f"place-{number}")
            counts = await once_each(stage)
            assert set(counts.values()) == {1}
            assert len(counts) == 2 * (len(sent) + 1)

    asyncio.run(story())


# --- other OS processes -----------------------------------------------------------------------------------


@contextmanager
def other(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """This file as another OS process; its first line is "ready"."""
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            assert said(process) == "ready"
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("on\n")
    process.stdin.flush()


def test_a_client_emits_on_while_the_node_is_killed_and_restarted(url: str) -> None:
    with other("node", url) as first, other("client", url) as client:
        ids = [said(client) for _ in range(EVENTS // 3)]
        first.kill()
        first.wait()
        with other("node", url) as second:
            ids += [said(client) for _ in range(EVENTS // 3)]
            second.kill()
            second.wait()
        with other("node", url):
            ids += [said(client) for _ in range(EVENTS - len(ids))]
            assert said(client) == "done"

    async def story() -> None:
        async with APP.run(url) as stage:
            counts = await once_each(stage)
            assert set(counts.values()) == {1}
            assert len(counts) == 2 * EVENTS
            for number, process in enumerate(ids):  # the same id, once more: the same event
                assert (await stage.emit(Placed(f"o{number}"), id=f"place-{number}")).id == process

    asyncio.run(story())
    assert len(set(ids)) == EVENTS


def test_a_client_stores_events_itself_while_no_node_runs_after_one_was_killed(url: str) -> None:
    with other("node", url) as first, other("client", url) as client:
        ids = [said(client) for _ in range(EVENTS // 3)]
        first.kill()
        first.wait()
        ids += [said(client) for _ in range(EVENTS // 3)]  # with no node anywhere
        with other("node", url):
            ids += [said(client) for _ in range(EVENTS - len(ids))]
            assert said(client) == "done"

    async def story() -> None:
        async with APP.run(url) as stage:
            counts = await once_each(stage)
            assert set(counts.values()) == {1}
            assert len(counts) == 2 * EVENTS

    asyncio.run(story())
    assert len(set(ids)) == EVENTS
    assert "" not in ids


def test_a_node_in_another_process_makes_this_stage_a_client(url: str) -> None:
    async def story() -> None:
        async with APP.run(url) as stage:
            assert not stage.is_node
            process = await stage.emit(Placed("o1"))
            assert str(await process.verdict(timeout=PATIENCE_S)) == "completed (door.paid)"

    with other("node", url):
        asyncio.run(story())


def test_a_client_process_that_came_first_lets_a_node_in(url: str) -> None:
    async def story(holder: "subprocess.Popen[str]") -> None:
        async with APP.run(url) as stage:
            assert stage.is_node
            tell(holder)
            second = await asyncio.get_running_loop().run_in_executor(None, said, holder)
            process = await stage.process(second)
            assert str(await process.verdict(timeout=PATIENCE_S)) == "completed (door.paid)"
            assert set((await once_each(stage)).values()) == {1}

    with other("holder", url) as holder:
        assert said(holder)
        asyncio.run(story(holder))


# --- this file as the other process -----------------------------------------------------------------------


async def be_node(url: str) -> None:
    async with APP.run(url) as stage:
        say("ready" if stage.is_node else "is a client")
        await asyncio.get_running_loop().create_future()


async def be_client(url: str) -> None:
    async with connect(url, APP) as client:
        say("ready")
        for number in range(EVENTS):
            process = await client.emit(Placed(f"o{number}"), id=f"place-{number}")
            say(process.id)
        say("done")


async def be_holder(url: str) -> None:
    """A client that has the store, since no node runs."""
    async with connect(url, APP) as client:
        say("ready")
        say((await client.emit(Placed("h1"))).id)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        say((await client.emit(Placed("h2"))).id)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    asyncio.run({"node": be_node, "client": be_client, "holder": be_holder}[sys.argv[1]](sys.argv[2]))

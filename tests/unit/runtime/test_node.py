"""A node: opening and closing, what is refused, and what it does in trouble."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, logged, memory, playing

from onstage import Process, Service, step, wait
from onstage.core.commit import Note, Notes, RefusedBecause
from onstage.errors import NodeRunning, StoreUnavailable
from onstage.ports.clock import SystemClock
from onstage.ports.store import Refused as CommitRefused
from onstage.runtime.node import Node
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.sqlite.store import SqliteStore


def shop() -> Service:
    made = Service("shop")

    @made.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    return made


ORDER = Process("order", starts=Placed, done=Paid, external=[Approved])


def test_a_second_node_on_a_store_is_refused_and_does_the_first_no_harm() -> None:
    async def story() -> None:
        store = memory()
        async with playing(shop(), on=store) as house:
            with pytest.raises(NodeRunning, match="to do"):
                async with playing(shop(), on=store):
                    raise AssertionError
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")

    asyncio.run(story())


def test_a_second_node_on_a_file_is_refused_and_says_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"

    async def story() -> None:
        async with playing(shop(), on=path):
            workers = ThreadWorkers()
            store = SqliteStore(path, clock=SystemClock(), workers=workers, lock_wait_s=0.0)
            node = Node([shop()], [], store=store, clock=SystemClock(), workers=workers)
            with pytest.raises(NodeRunning, match="another node"):
                await node.start()
            await node.close()
            await node.close()

    asyncio.run(story())


def test_a_file_that_cannot_be_opened_is_said_and_the_threads_end(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(StoreUnavailable, match=r"cannot open .*\n  why: .*\n  to do: "):
            async with playing(shop(), on=tmp_path / "no" / "such" / "folder.db"):
                raise AssertionError
        (tmp_path / "text.db").write_text(
            "this is no database, but a long enough text to be read as its header.\n" * 20
        )
        with pytest.raises(StoreUnavailable, match="not a database"):
            async with playing(shop(), on=tmp_path / "text.db"):
                raise AssertionError

    asyncio.run(story())


def test_a_node_in_trouble_refuses_new_work() -> None:
    async def story() -> None:
        store = memory()
        async with playing(shop(), on=store) as house:
            store.trouble = "the disk is full\n  why: x\n  to do: y"
            with pytest.raises(StoreUnavailable, match="the disk is full\n  why: x\n  to do: y"):
                await house.emit(Placed("o1"))
            store.trouble = None
            await house.emit(Placed("o1"))
            assert len(await house.events()) == 1

    asyncio.run(story())


def test_a_commit_that_the_store_refuses_loads_its_execution_anew() -> None:
    made, began, gate = Service("shop"), asyncio.Event(), asyncio.Event()

    @step
    async def charge() -> str:
        began.set()
        await gate.wait()
        return "c1"

    @made.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, await charge())

    async def story() -> None:
        async with playing(made) as house:
            node = house.node
            process = await house.emit(Placed("o1"))

            await began.wait()
            # Somebody else wrote to this execution, so the run's next commit comes from a wrong length.
            (delivery,) = node.open.values()
            frame = node.dispatcher.running[delivery.id]
            frame.execution.length += 1
            gate.set()
            assert (await process.verdict(timeout=5)).is_final
            assert len(await house.events("shop.paid")) == 1
            assert node.open == {}

    with logged("onstage.node") as said:
        asyncio.run(story())
    assert any("was refused: conflict; it is loaded anew" in text for text in said)


def test_a_refused_root_leaves_no_process_to_join() -> None:
    async def story() -> None:
        async with playing(shop(), ORDER) as house:
            node = house.node
            node.epoch -= 1  # a newer writer drew an epoch
            with pytest.raises(CommitRefused) as refused:
                await house.emit(Placed("o1"))
            assert refused.value.refusal.because == RefusedBecause.STALE_EPOCH
            node.epoch += 1
            joined = await house.emit(Approved("o1"))
            (event,) = await house.events()
            assert event.n == event.process
            assert joined.id
            await asyncio.gather(*node._tasks)  # noqa: SLF001  what was dropped is looked up in the store
            assert node.open == {}
            assert node.dispatcher.dropped == set()

    asyncio.run(story())


def test_what_follows_from_a_refused_commit_is_felled_and_forgotten() -> None:
    made, heard = Service("shop"), list[str]()

    @made.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id)

    @made.on(Paid)
    async def thank(e: Paid) -> None:
        heard.append(e.id)

    async def story() -> None:
        async with playing(made) as house:
            node = house.node
            node.epoch -= 1
            with pytest.raises(CommitRefused):
                await house.emit(Placed("o1"))
            node.epoch += 1
            await node.settle_window()
            assert node.open == {}
            assert node.dispatcher.dropped == set()
            await house.settled(Placed("o2"))
            assert [event.key for event in await house.events("shop.placed")] == ["o2"]

    asyncio.run(story())
    assert heard[-1] == "o2"


def test_background_work_that_fails_is_reported_and_the_node_goes_on() -> None:
    async def story() -> None:
        async def fails() -> None:
            raise ConnectionError

        async with playing(shop()) as house:
            house.node.spawn(fails())
            for _ in range(3):
                await asyncio.sleep(0)
            await house.emit(Placed("o1"))

    with logged("onstage.node") as said:
        asyncio.run(story())
    assert said == ["background work failed; recovery will look again"]


def test_closing_waits_for_running_steps_and_keeps_what_they_did() -> None:
    made, began, gate, runs = Service("shop"), asyncio.Event(), asyncio.Event(), list[str]()

    @step
    async def charge() -> str:
        runs.append("charge")
        began.set()
        await gate.wait()
        return "c1"

    @made.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, await charge())

    async def story() -> None:
        store = memory()
        async with playing(made, on=store) as house:
            await house.emit(Placed("o1"))
            await began.wait()
            asyncio.get_running_loop().call_later(0.05, gate.set)
        async with playing(made, on=store) as house:
            assert (await (await house.stage.process("o1")).verdict(timeout=5)).is_final

    asyncio.run(story())
    assert runs == ["charge"]


def test_notes_alone_are_written_at_the_end_of_this_turn() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            node, before = house.node, house.node.store.appended
            position = node.append_notes(Notes([Note("test", 7, b"kept"), Note("test", 8, b"gone")]))
            assert position == before + 1
            await node.store.durable(position)
            await node.store.durable(node.append_notes(Notes((), [("test", 8, 8)])))
            assert [(note.number, note.body) for note in await node.store.reader.notes("test")] == [(7, b"kept")]

    asyncio.run(story())

"""Cancelling an execution wherever it stands, and what becomes of its children."""

import asyncio
import threading
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, memory, playing

from onstage import Reject, Service, sleep, start, step, wait
from onstage.errors import AskFailed, Cancelled, UsageError
from onstage.events.receipt import Status
from onstage.workflow_handle import WorkflowHandle

done: list[str] = []


def undo(result: str, name: str = "") -> None:
    done.append(f"undo {name}")


@step(undo=undo)
async def do(name: str) -> str:
    done.append(name)
    return name


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


async def is_cancelled(handle: WorkflowHandle[Any]) -> None:
    with pytest.raises(AskFailed) as raised:
        await handle.result(timeout=5)
    assert raised.value.kind == "cancelled"


async def status_of(house: House, handle: WorkflowHandle[Any]) -> Status:
    n = house.node.numbers.identity.local(handle.id)
    assert n is not None
    views = await house.node.store.reader.executions(process=n, handler=handle.workflow)
    return Status(views[0].status)


async def until_status(house: House, handle: WorkflowHandle[Any], status: Status) -> None:
    async def holds() -> bool:
        return await status_of(house, handle) is status

    await house.until(holds)


def waiting() -> Service:
    shop = Service("shop")

    @shop.workflow
    async def fulfil(order: str) -> str:
        await do("a")
        await do("b")
        try:
            await wait(Approved)
        finally:
            done.append("tidied")
        return "approved"

    return shop


def only(service: Service) -> Any:
    return service.handlers[-1]


def test_a_parked_execution_is_told_its_steps_are_undone_and_it_ends_cancelled() -> None:
    shop = waiting()

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(only(shop), "o1", id="o1")
            await until_status(house, handle, Status.WAITING)
            assert "next durable call" in await handle.cancel()
            await is_cancelled(handle)
            assert done[:2] == ["a", "b"]
            assert done[-2:] == ["undo b", "undo a"]
            assert "tidied" in done
            assert await status_of(house, handle) is Status.CANCELLED
            assert (await handle.verdict(timeout=5)).is_final
            assert await house.node.store.reader.notes("cancel") == []

    asyncio.run(story())


def test_it_is_told_after_a_restart_as_well_and_only_once() -> None:
    shop, told = Service("shop"), list[str]()

    @shop.workflow
    async def fulfil(order: str) -> str:
        await do("a")
        try:
            await wait(Approved)
        except Cancelled:
            told.append("once")
            await do("clean")
            await sleep(0.05)
            raise
        return ""

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            handle = await house.stage.start(fulfil, "o1")
            await until_status(house, handle, Status.WAITING)
            await handle.cancel()
            event = handle.id
        async with playing(shop, on=store) as house:
            await is_cancelled(house.stage.handle(fulfil, event))
        assert done == ["a", "clean", "undo clean", "undo a"]
        assert told, "it was told, and again on replay, at the same place"

    asyncio.run(story())


def test_what_has_not_begun_never_runs() -> None:
    shop, gate = Service("shop"), asyncio.Event()

    @shop.workflow(concurrency=1)
    async def fulfil(order: str) -> str:
        await do(order)
        await hold()
        return order

    @step
    async def hold() -> None:
        await gate.wait()

    async def story() -> None:
        async with playing(shop) as house:
            first = await house.stage.start(fulfil, "first")
            second = await house.stage.start(fulfil, "second")
            assert "before it began" in await second.cancel()
            await is_cancelled(second)
            gate.set()
            assert await first.result(timeout=5) == "first"
            third = await house.stage.start(fulfil, "third")
            assert await third.result(timeout=5) == "third"
            assert done == ["first", "third"]
            assert (await second.verdict(timeout=5)).is_final

    asyncio.run(story())


def test_a_step_in_a_thread_ends_and_is_undone() -> None:
    shop, gate, began = Service("shop"), threading.Event(), threading.Event()

    @step(undo=undo)
    def work(name: str) -> str:
        began.set()
        assert gate.wait(10)
        done.append(name)
        return name

    @shop.workflow
    async def fulfil(order: str) -> str:
        await work("work")
        await do("next")
        return ""

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "o1")
            assert await asyncio.to_thread(began.wait, 5)
            await handle.cancel()
            gate.set()
            await is_cancelled(handle)
            assert done == ["work", "undo work"]

    asyncio.run(story())


def test_a_dead_letter_is_undone_without_its_handler() -> None:
    shop, runs = Service("shop"), list[str]()

    @shop.workflow(retry=None)
    async def fulfil(order: str) -> int:
        runs.append(order)
        await do("a")
        return "no number"  # type: ignore[return-value]  # so that it is set aside

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "o1")
            await until_status(house, handle, Status.PARKED)
            await handle.cancel()
            await is_cancelled(handle)
            assert (done, runs) == (["a", "undo a"], ["o1"])

    asyncio.run(story())


def test_what_waits_for_its_next_attempt_ends_instead() -> None:
    shop = Service("shop")

    @step(retries=3)
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("away")

    @shop.workflow
    async def fulfil(order: str) -> str:
        await do("a")
        await sleep("1h")
        return ""

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "o1")
            await until_status(house, handle, Status.WAITING)
            await handle.cancel()
            await is_cancelled(handle)
            assert done == ["a", "undo a"]

    asyncio.run(story())


def test_what_has_ended_says_so() -> None:
    shop = Service("shop")

    @shop.workflow
    async def fulfil(order: str) -> str:
        return order

    @shop.workflow
    async def refuse(order: str) -> str:
        raise Reject("no")

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "o1")
            assert await handle.result(timeout=5) == "o1"
            with pytest.raises(UsageError, match="fulfil is done"):
                await handle.cancel()
            refused = await house.stage.start(refuse, "o1")
            with pytest.raises(AskFailed, match="was rejected: no"):
                await refused.result(timeout=5)
            with pytest.raises(UsageError, match="refuse is rejected"):
                await refused.cancel()
            with pytest.raises(LookupError):
                await house.stage.control("cancel", f"{handle.id}99")
            with pytest.raises(UsageError, match="there is no action stop"):
                await house.stage.control("stop", handle.id)

    asyncio.run(story())


def test_who_catches_it_and_returns_has_ended_as_ever() -> None:
    shop = Service("shop")

    @shop.workflow
    async def fulfil(order: str) -> str:
        try:
            await wait(Approved)
        except Cancelled:
            return await do("instead")
        return ""

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "o1")
            await until_status(house, handle, Status.WAITING)
            await handle.cancel()
            assert await handle.result(timeout=5) == "instead"
            assert await house.node.store.reader.notes("cancel") == []

    asyncio.run(story())


def test_children_are_cancelled_with_their_parent() -> None:
    shop = Service("shop")

    @shop.workflow
    async def child(name: str) -> str:
        await do(name)
        await wait(Approved)
        return name

    @shop.workflow
    async def parent(name: str) -> str:
        await do("parent")
        return await start(child, "child")

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(parent, "o1")

            async def both_wait() -> bool:
                return len(await house.executions(Status.WAITING)) == 2

            await house.until(both_wait)
            await handle.cancel()
            await is_cancelled(handle)
            assert (await handle.verdict(timeout=5)).is_final
            assert sorted(done) == ["child", "parent", "undo child", "undo parent"]
            assert [view.status for view in await house.executions()] == []

    asyncio.run(story())


def test_terminated_is_ended_at_once_and_nothing_is_undone() -> None:
    shop = waiting()

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(only(shop), "o1")
            await until_status(house, handle, Status.WAITING)
            before = list(done)
            assert "was terminated" in await house.stage.control("terminate", handle.id)
            with pytest.raises(AskFailed, match="was terminated: by an operator"):
                await handle.result(timeout=5)
            assert (await handle.verdict(timeout=5)).is_final
            assert done == before

    asyncio.run(story())


def test_an_ordinary_handler_is_cancelled_by_its_number() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await do("a")
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            view = await house.only_execution(Status.WAITING)
            await house.stage.operate("cancel", view.id)
            assert (await process.verdict(timeout=5)).status == "dead end"
            assert done == ["a", "undo a"]
            again = await house.emit(Placed("o1"))
            await house.until_verdict(again, "waiting")  # its lane is open

    asyncio.run(story())


def test_what_runs_is_terminated_and_its_lane_is_free() -> None:
    shop, gate, began = Service("shop"), asyncio.Event(), asyncio.Event()

    @step(undo=undo)
    async def hold() -> str:
        began.set()
        await gate.wait()
        return "held"

    @shop.workflow(concurrency=1)
    async def fulfil(order: str) -> str:
        if order == "first":
            await hold()
            await do("never")
        return order

    async def story() -> None:
        async with playing(shop) as house:
            handle = await house.stage.start(fulfil, "first", id="same")
            await began.wait()
            await house.stage.control("terminate", handle.id)
            with pytest.raises(AskFailed, match="terminated"):
                await handle.result(timeout=5)
            gate.set()
            second = await house.stage.start(fulfil, "second")
            assert await second.result(timeout=5) == "second"
            await house.until(house.has_nothing_open)
            assert done == []

    asyncio.run(story())

"""Taking up what is open: at the start, and again and again; never twice."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, Refused, logged, memory, playing

from onstage import Process, Retry, Service, step, wait
from onstage.events.receipt import Status
from onstage.ports.store import Refused as CommitRefused

ORDER = Process("order", starts=Placed, done=Paid, external=[Approved])


def waiting() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    return shop


def test_what_was_running_when_the_node_was_killed_is_run_again() -> None:
    shop, runs = Service("shop"), list[str]()
    gate = asyncio.Event()

    @step
    async def charge() -> str:
        runs.append("charge")
        return "c1"

    @step
    async def ship() -> str:
        runs.append("ship")
        await gate.wait()
        return "s1"

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, await charge() + await ship())

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            house.stage.drain_s = 0
            await house.emit(Placed("o1"))

            async def ships() -> bool:
                return "ship" in runs and house.node.store.undurable == 0

            await house.until(ships)
            store.abandon()
        gate.set()
        async with playing(shop, on=store) as house:
            process = await house.stage.process("o1")
            assert (await process.verdict(timeout=5)).is_final
            assert (await house.events("shop.paid"))[0].data == b'{"id":"o1","by":"c1s1"}'

    asyncio.run(story())
    assert runs == ["charge", "ship", "ship"]


def test_mail_that_came_while_no_handler_ran_is_read_at_the_start() -> None:
    other = Service("other")

    @other.on(Approved)
    async def note(e: Approved) -> None: ...

    async def story() -> None:
        store = memory()
        async with playing(waiting(), on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            execution = (await house.only_execution()).id
            # The mail is durable, and the node dies before anybody was woken.
            house.node.open.pop(execution)
            house.node.numbers.waiting.clear()
            await house.emit(Approved("o1", "ada"), process=process)
        async with playing(waiting(), on=store) as house:
            process = await house.stage.process("o1")
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())


def test_an_execution_that_has_taken_its_mail_is_looked_at_once_at_each_start() -> None:
    shop, runs, commits = Service("shop"), list[str](), list[int]()

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        runs.append("run")
        by = (await wait(Approved)).by
        await wait(Approved)
        return Paid(e.id, by)

    async def story() -> None:
        store = memory()
        async with playing(shop, ORDER, on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1", "ada"), process=process)

            async def took_one() -> bool:
                return len(runs) == 2 and (await process.verdict()).status == "waiting"

            await house.until(took_one)
        for start in (1, 2):
            async with playing(shop, ORDER, on=store) as house:

                async def looked(start: int = start) -> bool:
                    return len(runs) == 2 + start and house.node.dispatcher.busy == 0

                await house.until(looked)
                await house.node.settle_window()
                process = await house.stage.process("o1")
                assert (await process.verdict()).status == "waiting"
                commits.append(house.stage.statistics()["commits"])
                execution = (await house.only_execution()).id
                assert await house.node.store.reader.unread() == [execution]
                assert await house.node.recovery.sweep() == 0
                assert len(runs) == 2 + start
        async with playing(shop, ORDER, on=store) as house:
            await house.emit(Approved("o1", "bob"))
            assert (await (await house.stage.process("o1")).verdict(timeout=5)).is_final
            assert (await house.events("shop.paid"))[0].data == b'{"id":"o1","by":"ada"}'

    asyncio.run(story())
    assert commits[0] == commits[1] <= 1


def test_the_sweep_takes_up_what_nobody_knows_and_nothing_else() -> None:
    async def story() -> None:
        async with playing(waiting()) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            assert await house.node.recovery.sweep() == 0
            execution = (await house.only_execution()).id
            lost = house.node.open.pop(execution)
            house.node.mailbox.leave(lost)
            house.node.dispatcher.release_lane(lost)
            assert await house.node.recovery.sweep() == 1
            assert house.node.recovery.repaired == 1
            await house.emit(Approved("o1"), process=process)
            assert (await process.verdict(timeout=5)).is_final

    with logged("onstage.recovery") as said:
        asyncio.run(story())
    assert said == ["1 stranded executions were taken up again"]


def test_mail_that_came_while_nobody_knew_the_execution_is_read_when_it_is_taken_up() -> None:
    async def story() -> None:
        async with playing(waiting()) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            execution = (await house.only_execution()).id
            lost = house.node.open.pop(execution)
            house.node.mailbox.leave(lost)
            house.node.dispatcher.release_lane(lost)
            await house.emit(Approved("o1"), process=process)
            await house.node.recovery.take_up(execution)
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())


def test_executions_of_handlers_that_are_not_here_are_left_alone_and_stuck() -> None:
    other = Service("other")

    @other.on(Refused)
    async def note(e: Refused) -> None: ...

    async def story() -> None:
        store = memory()
        async with playing(waiting(), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(other, Process("order", starts=Placed, done=Paid), on=store) as house:
            process = await house.stage.process("o1")
            verdict = await process.verdict()
            assert str(verdict) == "stuck: shop.take: no live node has this handler"
            assert await house.node.recovery.sweep() == 0
            view = await house.only_execution()
            assert Status(view.status) is Status.WAITING

    asyncio.run(story())


def test_an_execution_that_has_ended_meanwhile_is_not_taken_up() -> None:
    async def story() -> None:
        async with playing(waiting()) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            execution = (await house.only_execution()).id
            await house.emit(Approved("o1"), process=process)
            await process.verdict(timeout=5)
            await house.node.recovery.take_up(execution)
            await house.node.recovery.take_up(12345)
            assert house.node.open == {}

    asyncio.run(story())


def cannot_be(path: Path, status: str) -> None:
    """From now on the file takes no row with this status."""
    with closing(apsw.Connection(str(path))) as db:
        for what in ("INSERT", "UPDATE"):
            db.execute(
                f"CREATE TRIGGER refuse_{what} BEFORE {what} ON onstage_execution WHEN NEW.status {status} "
                "BEGIN SELECT RAISE(ABORT, 'no such row'); END"
            )


def can_be_again(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        for what in ("INSERT", "UPDATE"):
            db.execute(f"DROP TRIGGER refuse_{what}")


@pytest.mark.parametrize("when_full", ["block", "park"])
@pytest.mark.parametrize("status", [Status.RUNNING, Status.WAITING, Status.RETRYING, Status.DONE])
def test_what_the_store_cannot_write_is_set_aside_and_can_be_retried(
    tmp_path: Path, status: Status, when_full: Any
) -> None:
    shop, runs = Service("shop"), list[str]()

    @step
    async def charge() -> str:
        return "c1"

    @shop.on(Placed, retry=Retry(2, first=0), on_failure=when_full)
    async def take(e: Placed) -> Paid:
        runs.append(e.id)
        if status is Status.RETRYING and len(runs) == 2:
            raise ValueError
        await charge()
        by = await charge()  # what the first came to is written before the second begins
        return Paid(e.id, by if status is not Status.WAITING else (await wait(Approved)).by)

    async def story() -> None:
        path = tmp_path / "shop.db"
        async with playing(shop, ORDER, on=path) as house:
            if status is not Status.WAITING:
                await house.settled(Placed("o0"))
            cannot_be(path, f"= {int(status)}")
            why = await house.aside(Placed("o1"))
            assert why.splitlines()[0] == "the store cannot write what this execution came to"
            assert why.splitlines()[1] == "  why: ConstraintError: no such row"
            tried = len(runs)
            assert await house.node.recovery.sweep() == 0
            assert len(runs) == tried
            view = await house.only_execution()
            with closing(apsw.Connection(str(path))) as db:
                db.execute(
                    "CREATE TRIGGER no_retry BEFORE UPDATE ON onstage_execution BEGIN SELECT RAISE(ABORT, ''); END"
                )
                with pytest.raises(CommitRefused):
                    await house.stage.operate("retry", view.id)
                db.execute("DROP TRIGGER no_retry")
            await house.node.settle_window()
            assert len(runs) == tried
            assert (await house.only_execution()).status == Status.PARKED
            can_be_again(path)
            await house.stage.operate("retry", view.id)
            process = await house.stage.process("o1")
            if status is Status.WAITING:
                await house.until_verdict(process, "waiting")
                await house.emit(Approved("o1", "ada"), process=process)
            assert (await process.verdict(timeout=5)).is_final
            await house.until(house.has_nothing_open)
            assert house.node.dispatcher.dropped == set()

    asyncio.run(story())
    assert runs.count("o1") <= 4


def test_what_cannot_even_be_set_aside_is_not_tried_without_end(tmp_path: Path) -> None:
    shop, runs = Service("shop"), list[str]()

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        runs.append(e.id)

    async def story() -> None:
        path = tmp_path / "shop.db"
        async with playing(shop, on=path) as house:
            await house.settled(Placed("o0"))
            cannot_be(path, "<> 0")
            process = await house.emit(Placed("o1"))

            async def given_up() -> bool:
                return any("cannot even be set aside" in line for line in said)

            await house.until(given_up)
            commits = house.stage.statistics()["commits"]
            assert await house.node.recovery.sweep() == 0
            assert house.stage.statistics()["commits"] == commits
            assert (await process.verdict()).status == "running"
        can_be_again(path)
        async with playing(shop, on=path) as house:
            assert (await (await house.stage.process("o1")).verdict(timeout=5)).is_final

    with logged("onstage.recovery") as said:
        asyncio.run(story())
    assert runs == ["o0", "o1", "o1"]

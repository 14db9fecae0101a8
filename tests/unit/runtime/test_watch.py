"""Verdicts on request: final, stuck, waiting, running, dead end; each with its reasons, none before it is durable."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, Refused, memory, playing

from onstage import Process, Retry, Service, sleep, step, wait
from onstage.errors import StoreUnavailable
from onstage.events.receipt import Status
from onstage.observe.verdict import Verdict
from onstage.runtime import watch
from onstage.runtime.watch import Watch
from onstage.testing.virtual_loop import VirtualLoop


def shop() -> Service:
    made = Service("shop")

    @made.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> Paid | Refused | None:
        match e.id:
            case "waits":
                await wait(Approved)
            case "sleeps":
                await sleep("1h")
            case "fails":
                raise ConnectionError("no line")
            case "says nothing":
                return None
            case "refuses":
                return Refused(e.id)
        return Paid(e.id)

    return made


ORDER = Process("order", starts=Placed, done=Paid, external=[Approved])


@pytest.mark.parametrize(
    ("id", "status", "reason"),
    [
        ("pays", "completed", ""),
        ("waits", "waiting", "shop.take waits for shop.approved"),
        ("sleeps", "waiting", "shop.take sleeps until 2"),
        ("fails", "stuck", "shop.take is a dead letter: ConnectionError: no line"),
        ("says nothing", "dead end", "shop.placed: shop.take returned nothing"),
        ("refuses", "dead end", "shop.refused: no handler"),
    ],
)
def test_a_verdict_says_where_a_process_stands_and_why(id: str, status: str, reason: str) -> None:
    async def story() -> None:
        async with playing(shop(), ORDER) as house:
            process = await house.emit(Placed(id))
            verdict = await house.until_verdict(process, status)
            assert "; ".join(verdict.reasons).startswith(reason)
            assert verdict.outcome == ("shop.paid" if id == "pays" else None)
            assert verdict.is_final is (status in ("completed", "dead end"))
            assert house.node.watch.unbalanced == 0

    asyncio.run(story())


def test_a_verdict_waits_no_longer_than_it_was_told() -> None:
    async def story() -> None:
        async with playing(shop(), ORDER) as house:
            process = await house.emit(Placed("waits"))
            await house.until_verdict(process, "waiting")
            assert (await process.verdict(timeout="20ms")).status == "waiting"
            assert (await process.verdict(timeout=0)).status == "waiting"
            assert len(house.node.watch._waiters) == 0  # noqa: SLF001

    asyncio.run(story())


def test_whoever_waits_is_told_when_the_node_stops() -> None:
    async def story() -> None:
        async with playing(shop(), ORDER) as house:
            process = await house.emit(Placed("waits"))
            waiter = asyncio.create_task(process.verdict(timeout=None))
            await house.until_verdict(process, "waiting")
        with pytest.raises(StoreUnavailable, match="the node was stopped"):
            await waiter

    asyncio.run(story())


def test_a_process_that_does_not_exist_is_said() -> None:
    async def story() -> None:
        async with playing(shop(), ORDER) as house:
            with pytest.raises(LookupError, match="there is no process 99"):
                await house.node.watch.verdict(99, 0, None)
            with pytest.raises(LookupError, match="there is no process with key or id nothing"):
                await house.stage.process("nothing")

    asyncio.run(story())


def test_many_open_side_lines_do_not_hide_what_a_process_waits_for() -> None:
    """More non-gating executions are open than are looked at in one page."""
    main, side = Service("main"), Service("side")

    @main.on(Placed)
    async def take(e: Placed) -> list[Paid]:
        return [Paid(e.id) for _ in range(150)]

    @main.on(Refused)
    async def hold(e: Refused) -> None:
        await wait(Approved)

    @side.on(Paid, gating=False)
    async def look(e: Paid) -> None:
        await sleep("1h")

    async def story() -> None:
        async with playing(main, side) as house:
            process = await house.emit(Placed("o1"))

            await house.emit(Refused("o1"), process=process)
            verdict = await house.until_verdict(process, "waiting")
            assert verdict.reasons == ("main.hold waits for shop.approved",)

    asyncio.run(story())


def test_a_process_that_was_undone_in_an_earlier_life_stays_so_when_a_listener_is_behind() -> None:
    async def undo(receipt: str, id: str) -> None: ...

    @step(undo=undo)
    async def charge(id: str) -> str:
        return "receipt"

    desk, audit, heard = Service("desk"), Service("audit"), list[str]()

    @desk.on(Placed)
    async def take(e: Placed) -> Refused:
        await charge(e.id)
        return Refused(e.id)

    @audit.on(Refused, gating=False, retry=Retry(1_000, first="20ms", most="20ms"))
    async def listen(e: Refused) -> None:
        if not heard:
            raise ConnectionError("no line")

    parts = (desk, audit, Process("order", starts=Placed, done=Paid, failed=Refused))

    async def story() -> None:
        store = memory()
        async with playing(*parts, on=store) as house:
            await house.until_verdict(await house.emit(Placed("a")), "compensated")
        async with playing(*parts, on=store) as house:
            heard.append("it can be reached")
            await house.until(house.has_nothing_open)
            assert (await (await house.stage.process("a")).verdict()).status == "compensated"

    asyncio.run(story())


def test_a_finished_process_that_an_event_joins_is_open_again() -> None:
    """What is remembered of its end does not outlive it."""
    made = shop()

    @made.on(Approved)
    async def look(e: Approved) -> None:
        await sleep("1h")

    async def story() -> None:
        async with playing(made, ORDER) as house:
            process = await house.emit(Placed("pays"))
            assert (await process.verdict(timeout=5)).status == "completed"
            await house.emit(Approved("pays"), process=process)
            await house.until_verdict(process, "waiting")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("options", "is_stuck"),
    [({}, True), ({"key": "id"}, True), ({"on_failure": "park"}, False), ({"lane": "until-wait"}, False)],
)
def test_what_queues_behind_a_dead_letter_is_stuck_until_the_lane_opens(
    options: dict[str, Any], is_stuck: bool
) -> None:
    made, healthy = Service("shop"), asyncio.Event()

    @made.on(Placed, retry=Retry(1), **options)
    async def take(e: Placed) -> Paid:
        if not healthy.is_set():
            raise ConnectionError("no line")
        return Paid(e.id)

    async def story() -> None:
        async with playing(made, ORDER) as house:
            first = await house.emit(Placed("o1"))
            await house.until_verdict(first, "stuck")
            (dead,) = await house.executions(Status.PARKED)
            healthy.set()
            second = await house.emit(Placed("o1"))
            other = await house.emit(Placed("o2"))
            assert str(await other.verdict(timeout=10)) == "completed (shop.paid)"
            if options.get("on_failure") == "park":
                assert str(await second.verdict(timeout=10)) == "completed (shop.paid)"
                return
            verdict = await second.verdict()
            behind = f"shop.take is ready behind a dead letter of process {first.id} since "
            assert (verdict.status, verdict.reasons[0].startswith(behind)) == (
                ("stuck", True) if is_stuck else ("running", False)
            )
            assert not is_stuck or verdict.reasons[0].endswith("UTC: ConnectionError: no line")
            assert not verdict.is_final
            await house.stage.operate("retry", dead.id)
            assert str(await second.verdict(timeout=10)) == "completed (shop.paid)"

    asyncio.run(story())


def test_a_time_limit_that_rounds_to_a_hair_later_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer may fire a hair before its time; whoever then waits for nothing again would do so for ever."""
    asked: list[int] = []

    async def running(_reader: Any, process: int, *, live: Any = None) -> Verdict:
        asked.append(process)
        return Verdict("running")

    monkeypatch.setattr(watch, "verdict_of", running)
    store: Any = SimpleNamespace(reader=None)
    loop = VirtualLoop(127.021)
    assert 127.021 + 2.0 > 129.021
    verdict = loop.run_until_complete(Watch(store).verdict(1, 2.0, None))
    loop.close()
    assert (verdict.status, asked, loop.time()) == ("running", [1, 1], 129.021)

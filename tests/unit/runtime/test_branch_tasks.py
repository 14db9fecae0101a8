"""Plain steps of one gather share a task while they never suspend, and notice nothing of it."""

import asyncio
import warnings
from contextvars import ContextVar

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, playing
from tests.unit.runtime.test_gather import on_stage, paid

from onstage import Service, gather, step
from onstage.runtime.frame import Frame

said: ContextVar[str] = ContextVar("said", default="nothing")
tasks: list[asyncio.Task[None] | None] = []
began: list[str] = []


@step
async def goes_through(name: str) -> str:
    began.append(name)
    tasks.append(asyncio.current_task())
    earlier = said.get()
    said.set(name)
    return earlier


@step
async def suspends(name: str) -> str:
    tasks.append(asyncio.current_task())
    await asyncio.sleep(0)
    assert tasks[int(name)] is asyncio.current_task()
    return name


@step
async def too_slow(_: str) -> str:
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        return "late"
    raise AssertionError


@step
async def cancels_itself(_: str) -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return "done"


@pytest.fixture(autouse=True)
def afresh() -> None:
    tasks.clear()
    began.clear()


def test_steps_that_never_suspend_share_a_task_and_each_has_a_context() -> None:
    async def take(e: Placed) -> Paid:
        return Paid(e.id, " ".join(await gather(*(goes_through(str(n)) for n in range(20)))))

    assert on_stage(take, paid) == '{"id":"o1","by":"' + " ".join(["nothing"] * 20) + '"}'
    assert began == [str(n) for n in range(20)]
    assert len({id(task) for task in tasks}) == 1


def test_each_step_that_suspends_has_a_task_of_its_own() -> None:
    async def take(e: Placed) -> Paid:
        return Paid(e.id, "".join(await gather(*(suspends(str(n)) for n in range(5)))))

    assert on_stage(take, paid) == '{"id":"o1","by":"01234"}'
    assert len({id(task) for task in tasks}) == 5


def test_a_timeout_in_one_step_ends_that_one_alone() -> None:
    async def take(e: Placed) -> Paid:
        return Paid(e.id, " ".join(await gather(goes_through("a"), too_slow("b"), suspends("1"), too_slow("c"))))

    assert on_stage(take, paid) == '{"id":"o1","by":"nothing late 1 late"}'


def test_a_cancellation_that_a_step_leaves_behind_does_not_reach_the_next() -> None:
    async def take(e: Placed) -> Paid:
        return Paid(e.id, " ".join(await gather(cancels_itself("a"), suspends("0"), suspends("1"))))

    assert on_stage(take, paid) == '{"id":"o1","by":"done 0 1"}'


def test_none_begins_before_what_led_to_the_gather_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, seen = Frame.barrier, list[int]()

    async def barrier(frame: Frame) -> None:
        seen.append(len(began))
        await plain(frame)
        assert not frame.execution.has_pending
        assert len(began) == seen[-1], "nothing begins while one waits"
        seen.append(frame.after)

    monkeypatch.setattr(Frame, "barrier", barrier)

    async def take(e: Placed) -> Paid:
        await goes_through("first")
        await gather(*(goes_through(str(n)) for n in range(5)))
        return Paid(e.id)

    on_stage(take, paid)
    first, _, then, _ = seen
    assert (first, then) == (0, 1), "the gather waits once, for the step before it"
    assert len(began) == 6


def test_if_what_led_to_them_is_refused_none_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, refusals = Frame.barrier, list[int]()

    async def barrier(frame: Frame) -> None:
        if not refusals:
            refusals.append(len(began))
            raise ConnectionError("the disk is gone")
        refusals.append(len(began))
        await plain(frame)

    monkeypatch.setattr(Frame, "barrier", barrier)

    async def take(e: Placed) -> Paid:
        await gather(goes_through("a"), goes_through("b"))
        return Paid(e.id)

    on_stage(take, paid)
    assert refusals[:2] == [0, 0], "each of them waits for itself instead"


def test_none_begins_if_the_node_closes_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = asyncio.Event()

    async def barrier(_: Frame) -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Frame, "barrier", barrier)

    async def story() -> None:
        shop = Service("shop")

        @shop.on(Placed)
        async def take(e: Placed) -> None:
            await gather(goes_through("a"), goes_through("b"))

        assert take.name
        async with playing(shop) as house:
            house.stage.drain_s = 0.0
            await house.emit(Placed("o1"))
            await waits.wait()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(story())
    assert began == []

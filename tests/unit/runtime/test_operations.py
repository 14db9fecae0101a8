"""Dead letters: retried at the failed step, or dropped; once, and with a clear word for everything else."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, memory, playing

from onstage import Retry, Service, step
from onstage.errors import UsageError
from onstage.events.receipt import Status


class Weather:
    def __init__(self) -> None:
        self.is_bad = True
        self.runs: list[str] = []


def shop_in(weather: Weather) -> Service:
    shop = Service("shop")

    @step
    async def first() -> str:
        weather.runs.append("first")
        return "1"

    @step(retries=1)
    async def second() -> str:
        weather.runs.append("second")
        if weather.is_bad:
            raise ConnectionError("storm")
        return "2"

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> Paid:
        return Paid(e.id, await first() + await second())

    return shop


def test_a_retry_resumes_at_the_failed_step_with_a_new_budget() -> None:
    weather = Weather()

    async def story() -> None:
        async with playing(shop_in(weather)) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "stuck")
            execution = (await house.only_execution()).id
            assert await house.stage.operate("retry", execution) == "shop.take is tried again"
            await house.until_verdict(process, "stuck")
            assert weather.runs == ["first", *["second"] * 4]
            weather.is_bad = False
            await house.stage.operate("retry", execution)
            assert (await process.verdict(timeout=5)).is_final
            assert len(await house.events("shop.paid")) == 1

    asyncio.run(story())
    assert weather.runs == ["first", *["second"] * 5]


@pytest.mark.parametrize("action", ["retry", "drop"])
def test_two_operators_at_once_do_it_once(action: str) -> None:
    weather = Weather()

    async def story() -> None:
        async with playing(shop_in(weather)) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "stuck")
            execution = (await house.only_execution()).id
            weather.is_bad = False
            operate = house.stage.operate
            answers = await asyncio.gather(
                operate(action, execution), operate(action, execution), return_exceptions=True
            )
            assert sum(isinstance(answer, str) for answer in answers) >= 1
            assert (await process.verdict(timeout=5)).is_final
            assert len(await house.events("shop.paid")) == (action == "retry")
            await house.settled(Placed("o1"))

    asyncio.run(story())


def test_a_dropped_execution_settles_its_process() -> None:
    async def story() -> None:
        store = memory()
        async with playing(shop_in(Weather()), on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "stuck")
            execution = (await house.only_execution()).id
        async with playing(shop_in(Weather()), on=store) as house:
            assert await house.stage.operate("drop", execution) == "shop.take was dropped"
            process = await house.stage.process("o1")
            assert (await process.verdict()).is_final
            stored = await house.stored(execution)
            assert Status(stored.execution.status) is Status.DROPPED
            assert "storm" in (stored.execution.error or "")
            assert house.node.watch.unbalanced == 0

    asyncio.run(story())


def test_what_cannot_be_done_is_said() -> None:
    weather = Weather()
    weather.is_bad = False

    async def story() -> None:
        async with playing(shop_in(weather)) as house:
            process = await house.emit(Placed("o1"))
            await process.verdict(timeout=5)
            done = house.node.numbers.identity.local(process.id) or 0
            (view,) = await house.node.store.reader.executions(process=done)
            with pytest.raises(UsageError, match="is done\n  why: only what was set aside can be dropped"):
                await house.stage.operate("drop", view.id)
            with pytest.raises(UsageError, match="only what was set aside can be retried"):
                await house.stage.operate("retry", view.id)
            with pytest.raises(UsageError, match="there is no execution 77"):
                await house.stage.operate("retry", 77)
            with pytest.raises(UsageError, match="there is no action explode"):
                await house.stage.operate("explode", view.id)

    asyncio.run(story())


def test_of_two_operators_at_once_one_is_told_that_the_other_was_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with playing(shop_in(Weather())) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "stuck")
            execution = (await house.only_execution()).id
            reader: Any = house.node.store.reader
            plain = reader.execution

            async def after_a_turn(number: int) -> Any:
                found = await plain(number)
                await asyncio.sleep(0)
                return found

            monkeypatch.setattr(reader, "execution", after_a_turn)
            both = (house.stage.operate("drop", execution), house.stage.operate("retry", execution))
            first, second = await asyncio.gather(*both, return_exceptions=True)
            assert first == "shop.take was dropped"
            assert isinstance(second, UsageError)
            assert "somebody else was quicker" in str(second)
            assert (await process.verdict(timeout=5)).is_final
            assert house.node.open == {}

    asyncio.run(story())

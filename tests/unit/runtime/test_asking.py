"""Asking and starting inside an execution: one request, one answer, whenever it comes."""

import asyncio
from dataclasses import dataclass

import pytest
from tests.unit.runtime.playhouse import House, Paid, Placed, memory, playing

from onstage import Reject, Request, Service, ask, event, sleep, start, step
from onstage.errors import AskFailed, NotInExecution
from onstage.events.receipt import Status
from onstage.runtime.asking import workflow_of


@event("shop.get-quote", key="sku")
@dataclass(frozen=True)
class GetQuote(Request[int]):
    sku: str


@event("shop.get-name", key="sku")
@dataclass(frozen=True)
class GetName(Request[str]):
    sku: str


def asking_shop(timeout: str | None = None) -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        try:
            return Paid(e.id, str(await ask(GetQuote("sku"), timeout=timeout)))
        except TimeoutError:
            return Paid(e.id, "late")
        except AskFailed as error:
            return Paid(e.id, f"{error.kind}: {error.reason}")

    return shop


def pricing() -> Service:
    service = Service("pricing")

    @service.answers
    async def quote(q: GetQuote) -> int:
        return len(q.sku)

    return service


async def paid_by(house: House) -> list[bytes]:
    return [event.data for event in await house.events("shop.paid")]


def test_the_answer_is_the_result_of_who_answers() -> None:
    async def story() -> None:
        async with playing(asking_shop(), pricing()) as house:
            await house.settled(Placed("o1"))
            assert await paid_by(house) == [b'{"id":"o1","by":"3"}']
            types = [e.type for e in await house.events()]
            assert types == ["shop.placed", "shop.get-quote", "onstage.answer/shop.get-quote", "shop.paid"]
            assert house.node.numbers.asking == {}
            assert house.node.numbers.waiting == {}

    asyncio.run(story())


def test_a_rejection_is_an_answer_and_the_answerer_has_rejected() -> None:
    service = Service("pricing")

    @service.answers
    async def quote(q: GetQuote) -> int:
        raise Reject("sold out")

    async def story() -> None:
        async with playing(asking_shop(), service) as house:
            await house.settled(Placed("o1"))
            assert await paid_by(house) == [b'{"id":"o1","by":"rejected: sold out"}']

    asyncio.run(story())


def test_what_is_asked_twice_is_asked_twice_and_each_answer_goes_to_its_request() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        first, second = ask(GetQuote("a")), ask(GetQuote("abc"))
        return Paid(e.id, f"{await second}{await first}")

    async def story() -> None:
        async with playing(shop, pricing()) as house:
            await house.settled(Placed("o1"))
            assert await paid_by(house) == [b'{"id":"o1","by":"31"}']

    asyncio.run(story())


def test_a_dead_letter_is_no_answer_and_the_verdict_says_who_is_waited_for() -> None:
    service = Service("pricing")

    @service.answers(retry=None)
    async def quote(q: GetQuote) -> int:
        return "text"  # type: ignore[return-value]  # which is what is tried

    async def story() -> None:
        async with playing(asking_shop(), service) as house:
            process = await house.emit(Placed("o1"))
            verdict = await house.until_verdict(process, "stuck")
            assert "pricing.quote" in str(verdict)
            waiting = await house.only_execution(Status.WAITING)
            assert waiting.waits == ("onstage.answer/shop.get-quote",)

    asyncio.run(story())


def test_the_verdict_says_whose_answer_is_waited_for() -> None:
    service = Service("pricing")

    @service.answers
    async def quote(q: GetQuote) -> int:
        await sleep("1h")
        return 1

    async def story() -> None:
        async with playing(asking_shop(), service) as house:
            process = await house.emit(Placed("o1"))

            async def both() -> bool:
                return len(await house.executions(Status.WAITING)) == 2

            await house.until(both)
            reasons = (await process.verdict()).reasons
            assert reasons[0] == "shop.take waits for an answer from pricing.quote"

    asyncio.run(story())


def test_who_answers_has_the_deadline_of_who_asks() -> None:
    shop, service, limits = Service("shop"), Service("pricing"), list[bool]()

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        try:
            return Paid(e.id, str(await ask(GetQuote("sku"), timeout="30ms")))
        except TimeoutError:
            return Paid(e.id, "late")

    @service.answers
    async def quote(q: GetQuote) -> int:
        try:
            return len(await ask(GetName(q.sku)))
        except TimeoutError:
            limits.append(True)
            return 0

    @service.answers
    async def name(q: GetName) -> str:
        await sleep("1h")
        return ""

    async def story() -> None:
        async with playing(shop, service) as house:
            await house.emit(Placed("o1"))

            async def gave_up() -> bool:
                return bool(await house.events("shop.paid")) and bool(limits)

            await house.until(gave_up)
            assert await paid_by(house) == [b'{"id":"o1","by":"late"}']

    asyncio.run(story())


def test_an_answer_that_does_not_come_in_time_raises_once_and_for_all() -> None:
    gate = asyncio.Event()
    service = Service("pricing")

    @step
    async def think() -> int:
        await gate.wait()
        return 7

    @service.answers
    async def quote(q: GetQuote) -> int:
        return await think()

    async def story() -> None:
        async with playing(asking_shop("20ms"), service) as house:
            process = await house.emit(Placed("o1"))

            async def gave_up() -> bool:
                return bool(await paid_by(house))

            await house.until(gave_up)
            gate.set()
            await process.verdict(timeout=5)
            assert await paid_by(house) == [b'{"id":"o1","by":"late"}']

    asyncio.run(story())


def test_a_child_is_started_once_and_its_result_is_a_value() -> None:
    shop, runs = Service("shop"), list[str]()

    @shop.workflow
    async def fulfil(order: dict[str, int]) -> list[str]:
        runs.append("fulfil")
        return sorted(order)

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, ",".join(await start(fulfil, {"b": 1, "a": 2}, id=e.id)))

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))
            assert await paid_by(house) == [b'{"id":"o1","by":"a,b"}']
            (begun,) = await house.events("onstage.start/shop.fulfil")
            assert (begun.key, begun.data) == ("o1", b'{"b":1,"a":2}')
            assert runs == ["fulfil"]

    asyncio.run(story())


def test_outside_an_execution_the_error_names_the_stage() -> None:
    with pytest.raises(NotInExecution, match=r"use stage.ask\(...\)"):
        ask(GetQuote("sku"))
    with pytest.raises(NotInExecution, match=r"use stage.start\(...\)"):
        start(pricing().answers(_quote), GetQuote("a"))


async def _quote(q: GetQuote) -> int:
    return 1


def test_only_a_workflow_can_be_started() -> None:
    with pytest.raises(Exception, match="it is no workflow"):
        workflow_of(pricing().handlers[0])


def test_the_answer_is_found_after_a_restart() -> None:
    gate, service = asyncio.Event(), Service("pricing")

    @step
    async def think() -> int:
        await gate.wait()
        return 7

    @service.answers
    async def quote(q: GetQuote) -> int:
        return await think()

    async def story() -> None:
        store = memory()
        async with playing(asking_shop(), service, on=store) as house:
            await house.emit(Placed("o1"))
            house.stage.drain_s = 0

            async def asked() -> bool:
                return any(view.handler == "shop.take" for view in await house.executions(Status.WAITING))

            await house.until(asked)
        gate.set()
        async with playing(asking_shop(), service, on=store) as house:

            async def was_paid() -> bool:
                return bool(await paid_by(house))

            await house.until(was_paid)
            assert await paid_by(house) == [b'{"id":"o1","by":"7"}']
            assert len(await house.events("shop.get-quote")) == 1

    asyncio.run(story())

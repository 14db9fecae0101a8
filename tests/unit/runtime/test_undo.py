"""Undo: finished steps of a rejected execution, the last first, once each, over failures and restarts."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.runtime.playhouse import Placed, Refused, memory, playing

from onstage import Reject, Retry, Service, step
from onstage.contracts.handler import Handler
from onstage.events.receipt import Status

Book = list[str]


def hotel(heard: Book, *, failures: int = 0) -> tuple[Service, list[Handler[Placed, None]]]:
    """A handler that books a room and a car, then rejects. The car's undo fails so often first."""
    shop, left = Service("shop"), [failures]

    async def leave_room(result: str, order_id: str) -> None:
        heard.append(f"leave {result} of {order_id}")

    def return_car(result: str, order_id: str) -> None:
        heard.append(f"return {result}")
        left[0] -= 1
        if left[0] >= 0:
            raise ConnectionError("garage closed")

    @step(undo=leave_room)
    async def room(order_id: str) -> str:
        heard.append("room")
        return "room 7"

    @step(undo=return_car)
    def car(order_id: str) -> str:
        heard.append("car")
        return "car 8"

    @step
    async def note() -> None:
        heard.append("note")

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> None:
        await room(e.id)
        await car(e.id)
        await note()
        raise Reject("no flight")

    return shop, [take]


def test_finished_steps_are_undone_in_reverse_order() -> None:
    heard: Book = []
    shop, _ = hotel(heard)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await process.verdict(timeout=5)
            number = house.node.numbers.identity.local(process.id) or 0
            (view,) = await house.node.store.reader.executions(process=number)
            assert Status(view.status) is Status.REJECTED
            assert view.error == "no flight"

    asyncio.run(story())
    assert heard == ["room", "car", "note", "return car 8", "leave room 7 of o1"]


def test_an_undo_that_fails_is_tried_again() -> None:
    heard: Book = []
    shop, _ = hotel(heard, failures=3)

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert heard[3:] == ["return car 8"] * 4 + ["leave room 7 of o1"]


def test_an_undo_that_goes_on_failing_is_set_aside_and_a_retry_resumes_there() -> None:
    heard: Book = []
    shop, _ = hotel(heard, failures=5)

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            why = await house.aside(Placed("o1"))
            assert "the undo of car failed 5 times: garage closed" in why
            execution = (await house.only_execution()).id
        async with playing(shop, on=store) as house:
            await house.stage.operate("retry", execution)
            await (await house.stage.process("o1")).verdict(timeout=5)

    asyncio.run(story())
    assert heard[3:] == ["return car 8"] * 6 + ["leave room 7 of o1"]


def test_an_undo_goes_on_after_a_restart_without_running_the_handler() -> None:
    heard: Book = []
    gate = asyncio.Event()
    shop = Service("shop")

    async def leave(result: str, order_id: str) -> None:
        heard.append(f"leave {result}")
        if not gate.is_set():
            raise SystemError

    @step(undo=leave)
    async def room(order_id: str) -> str:
        return "room 7"

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        heard.append("handler")
        await room(e.id)
        raise Reject("no")

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            await house.aside(Placed("o1"))
            execution = (await house.only_execution()).id
        gate.set()
        async with playing(shop, on=store) as house:
            await house.stage.operate("retry", execution)
            await (await house.stage.process("o1")).verdict(timeout=5)

    asyncio.run(story())
    assert heard == ["handler", *["leave room 7"] * 6]


def test_a_rejection_inside_a_task_group_is_a_rejection() -> None:
    heard: Book = []
    shop = Service("shop")

    async def leave(result: str) -> None:
        heard.append("leave")

    @step(undo=leave)
    async def room() -> str:
        return "room 7"

    @step
    async def says_no() -> None:
        raise Reject("no flight")

    async def branch(call: Awaitable[object]) -> object:
        return await call

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await room()
        async with asyncio.TaskGroup() as group:
            group.create_task(branch(says_no()))

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert heard == ["leave"]


def test_a_rejection_does_not_wait_for_a_branch_that_is_parked() -> None:
    heard: Book = []
    shop, gate = Service("shop"), asyncio.Event()

    async def leave(result: str) -> None:
        heard.append("leave")

    @step(undo=leave)
    async def room() -> str:
        return "room 7"

    @step
    async def says_no() -> None:
        await gate.wait()
        raise Reject("no flight")

    from onstage import wait

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await room()
        await asyncio.gather(wait(Refused, timeout="24h"), says_no())

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            gate.set()
            assert (await process.verdict(timeout=5)).is_final

    asyncio.run(story())
    assert heard == ["leave"]


def test_an_undo_without_its_step_says_what_to_import() -> None:
    heard: Book = []

    async def leave(result: str) -> None:
        raise ConnectionError

    def with_step() -> Service:
        shop = Service("shop")

        @step(undo=leave)
        async def room() -> str:
            heard.append("room")
            return "room 7"

        @shop.on(Placed)
        async def take(e: Placed) -> None:
            await room()
            raise Reject("no")

        return shop

    def without_step() -> Service:
        shop = Service("shop")

        @shop.on(Placed)
        async def take(e: Placed) -> None: ...

        return shop

    async def story(make: Callable[[], Service]) -> str:
        store = memory()
        async with playing(make(), on=store) as house:
            await house.aside(Placed("o1"))
            execution = (await house.only_execution()).id
        async with playing(without_step(), on=store) as house:
            await house.stage.operate("retry", execution)
            await house.until_verdict(await house.stage.process("o1"), "stuck")
            return (await house.only_execution()).error or ""

    assert "import the step in the module of its handler" in asyncio.run(story(with_step))

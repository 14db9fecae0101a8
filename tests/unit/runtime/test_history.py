"""History: a new handler is given what was before it, each event once, in order, outside of finished processes."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, memory, playing

from onstage import Envelope, Retry, Service, step, wait
from onstage.events.receipt import Status
from onstage.runtime import cancelling, history
from onstage.runtime.history import courses_in


def quiet() -> Service:
    """The application before the new handler: it lets an order pass."""
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        return

    return shop


def with_reader(seen: list[Any], **options: Any) -> tuple[Service, Service]:
    """The same with a new service that wants to know everything that was."""
    report = Service("report")

    @report.on(Placed, start="earliest", **options)
    async def count(e: Placed) -> Paid:
        seen.append(e.id)
        return Paid(e.id)

    return quiet(), report


async def filled(store: Any, *ids: str) -> None:
    async with playing(quiet(), on=store) as house:
        for name in ids:
            await house.settled(Placed(name))


async def caught_up(house: House) -> None:
    async def holds() -> bool:
        courses = await courses_in(house.node.store.reader)
        return bool(courses) and all(course.ended for course in courses.values()) and not house.node.open

    await house.until(holds)


def orders(count: int) -> list[str]:
    return [f"o{number}" for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, history.PAGE, history.PAGE * 4 + 1])
def test_a_new_handler_is_given_every_older_event_once_in_the_order_of_the_log(count: int) -> None:
    seen: list[str] = []

    async def story() -> None:
        store = memory()
        await filled(store, *orders(count))
        for _ in range(2):  # the second start has nothing left to deliver
            async with playing(*with_reader(seen, concurrency=1), on=store) as house:
                await caught_up(house)
                (course,) = (await courses_in(store.reader)).values()
                assert (course.given, course.skipped) == (count, 0)
        async with playing(*with_reader(seen), on=store) as house:
            await house.settled(Placed("later"))

    asyncio.run(story())
    assert seen == [*orders(count), "later"]


def test_what_is_delivered_late_does_not_reopen_a_finished_process_and_its_outputs_are_new_roots() -> None:
    seen: list[str] = []

    async def story() -> None:
        store = memory()
        await filled(store, "o1")
        async with playing(*with_reader(seen), on=store) as house:
            await caught_up(house)
            placed, paid = await house.events()
            row = await store.reader.process(placed.process)
            assert row is not None
            assert (row.open, row.digest) == (0, 0)
            assert paid.process == paid.n  # a root of its own,
            assert paid.cause >> 16 == placed.n  # linked by its cause
            (view,) = [v for v in await store.reader.executions(process=placed.process) if v.handler == "report.count"]
            assert (view.gating, Status(view.status)) == (False, Status.DONE)
            assert house.node.watch.unbalanced == 0

    asyncio.run(story())


def test_in_an_open_process_it_gates_and_its_outputs_belong_there() -> None:
    seen: list[str] = []

    def waiting() -> Service:
        shop = Service("shop")

        @shop.on(Placed)
        async def take(e: Placed) -> None:
            await wait(Approved)

        return shop

    async def story() -> None:
        store = memory()
        async with playing(waiting(), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(waiting(), with_reader(seen)[1], on=store) as house:
            process = await house.stage.process("o1")
            await house.until(lambda: _emitted(house, "shop.paid"))
            placed, paid = await house.events()
            assert paid.process == placed.process
            await house.emit(Approved("o1"), process=process)
            assert (await process.verdict(timeout=5)).is_final
            row = await store.reader.process(placed.process)
            assert row is not None
            assert (row.open, row.digest) == (0, 0)

    asyncio.run(story())
    assert seen == ["o1"]


async def _emitted(house: House, type: str) -> bool:
    return len(await house.events(type)) > 0


def test_newer_events_of_a_key_wait_for_the_older_ones_and_others_do_not() -> None:
    """Their order is kept although new ones come while history is delivered."""
    seen: list[tuple[str, int]] = []
    opened = asyncio.Event()

    def reading() -> Service:
        report = Service("report")

        @step
        async def pause() -> None:
            await opened.wait()

        @report.on(Placed, start="earliest", concurrency=1000)
        async def count(e: Placed) -> None:
            if e.id == "a":
                await pause()
            seen.append((e.id, e.amount))

        return report

    async def story() -> None:
        store = memory()
        async with playing(quiet(), on=store) as house:
            for amount in range(history.PAGE * 3):
                await house.settled(Placed("a" if amount % 2 else f"b{amount}", amount))
        async with playing(quiet(), reading(), on=store) as house:
            await house.emit(Placed("a", 1_000))
            opened.set()
            await caught_up(house)

    asyncio.run(story())
    of_a = [amount for name, amount in seen if name == "a"]
    assert of_a == [*range(1, history.PAGE * 3, 2), 1_000]
    assert len(seen) == history.PAGE * 3 + 1


def test_a_page_follows_when_few_deliveries_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "HISTORY_RUNNING_MAX", 10)
    monkeypatch.setattr(history, "PAGE", 5)
    running = 0
    most = 0

    def slow() -> Service:
        report = Service("report")

        @step
        async def turn() -> None:
            await asyncio.sleep(0)

        @report.on(Placed, start="earliest")
        async def count(e: Placed) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await turn()
            running -= 1

        return report

    async def story() -> None:
        store = memory()
        await filled(store, *orders(60))
        async with playing(quiet(), slow(), on=store) as house:
            await caught_up(house)

    asyncio.run(story())
    assert 1 < most < 15


def test_a_dead_letter_does_not_hold_up_the_history_of_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "HISTORY_RUNNING_MAX", 2)
    monkeypatch.setattr(history, "PAGE", 2)
    seen: list[str] = []

    def failing() -> Service:
        report = Service("report")

        @report.on(Placed, start="earliest", retry=Retry(1))
        async def count(e: Placed) -> None:
            if e.id == "bad":
                raise ConnectionError
            seen.append(e.id)

        return report

    async def story() -> None:
        store = memory()
        await filled(store, *["bad"] * 9, "good")
        async with playing(quiet(), failing(), on=store) as house:
            await house.until(lambda: is_in(seen, "good"))

    asyncio.run(story())
    assert seen == ["good"]


async def is_in(things: list[str], thing: str) -> bool:
    return thing in things


def test_mail_of_before_is_there_for_a_handler_that_waits() -> None:
    seen: list[Any] = []

    def pairing() -> Service:
        report = Service("report")

        @report.on(Placed, start="earliest")
        async def pair(e: Placed) -> None:
            seen.append((e.id, (await wait(Approved)).by))

        return report

    def passing() -> Service:
        shop = quiet()

        @shop.on(Approved)
        async def note(e: Approved) -> None:
            return

        return shop

    async def story() -> None:
        store = memory()
        async with playing(passing(), on=store) as house:
            process = await house.emit(Placed("o1"))
            await house.emit(Approved("o1", "ann"), process=process)
            await process.verdict(timeout=5)
        async with playing(passing(), pairing(), on=store) as house:
            await caught_up(house)

    asyncio.run(story())
    assert seen == [("o1", "ann")]


def test_events_of_a_process_that_was_cancelled_are_skipped() -> None:
    seen: list[str] = []
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        if e.id == "off":
            await wait(Paid)

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            await house.settled(Placed("on"))
            handle = await house.stage.emit(Placed("off"))
            n = house.node.numbers.identity.local(handle.id)
            (view,) = await store.reader.executions(process=n)
            await cancelling.cancel(house.node, view.id)
            await handle.verdict(timeout=5)
        async with playing(shop, with_reader(seen)[1], on=store) as house:
            await caught_up(house)
            (course,) = (await courses_in(store.reader)).values()
            assert (course.given, course.skipped) == (1, 1)
            off = (await house.events("shop.placed"))[1]
            views = await store.reader.executions(process=off.process)
            assert [Status(view.status).label for view in views] == ["cancelled", "skipped"]

    asyncio.run(story())
    assert seen == ["on"]


def test_a_pattern_is_given_envelopes_of_what_was() -> None:
    seen: list[Envelope] = []

    def auditing() -> Service:
        audit = Service("audit")

        @audit.on("shop.>", start="earliest")
        async def note(e: Envelope) -> None:
            seen.append(e)

        return audit

    async def story() -> None:
        store = memory()
        await filled(store, "o1", "o2")
        async with playing(quiet(), auditing(), on=store) as house:
            await caught_up(house)

    asyncio.run(story())
    assert [(e.type, e.subject) for e in seen] == [("shop.placed", "o1"), ("shop.placed", "o2")]

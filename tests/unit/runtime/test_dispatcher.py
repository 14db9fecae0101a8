"""Who runs when: lanes per key, places at a handler, dead letters in a lane; and nothing left behind."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, Refused, memory, playing

from onstage import Process, Retry, Service, step, wait
from onstage.events.receipt import Status

Order = list[str]


class Gates:
    """One gate for each text, and who stands before it."""

    def __init__(self) -> None:
        self.began: Order = []
        self.ended: Order = []
        self.most = 0
        self._gates: dict[str, asyncio.Event] = {}
        self._news = asyncio.Event()

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def pass_by(self, name: str) -> None:
        self.began.append(name)
        self.most = max(self.most, len(self.began) - len(self.ended))
        self._news.set()
        await self.gate(name).wait()
        self.ended.append(name)

    async def until_began(self, *names: str) -> None:
        async with asyncio.timeout(10):
            while not set(names) <= set(self.began):
                self._news.clear()
                await self._news.wait()


def gated(gates: Gates, **options: int) -> Service:
    shop = Service("shop")

    @step
    async def pass_by(name: str) -> None:
        await gates.pass_by(name)

    @shop.on(Placed, **options)  # type: ignore[arg-type]
    async def take(e: Placed) -> None:
        await pass_by(f"{e.id}.{e.amount}")

    return shop


async def ended(house: House, count: int) -> None:
    async def holds() -> bool:
        return house.node.open == {} and len(await house.events("shop.placed")) == count

    await house.until(holds)


def test_one_key_runs_one_after_the_other_and_keys_run_side_by_side() -> None:
    gates = Gates()

    async def story() -> None:
        async with playing(gated(gates)) as house:
            for event in (Placed("a", 1), Placed("a", 2), Placed("b", 1)):
                await house.emit(event)
            await gates.until_began("a.1", "b.1")
            assert gates.began == ["a.1", "b.1"]
            gates.gate("a.1").set()
            await gates.until_began("a.2")
            gates.gate("a.2").set()
            gates.gate("b.1").set()
            await ended(house, 3)

    asyncio.run(story())
    assert gates.ended.index("a.1") < gates.ended.index("a.2")


def test_a_handler_runs_at_most_as_many_at_once_as_it_says() -> None:
    gates = Gates()

    async def story() -> None:
        async with playing(gated(gates, concurrency=3)) as house:
            for number in range(9):
                await house.emit(Placed(f"o{number}"))
            await gates.until_began("o0.0", "o1.0", "o2.0")
            for number in range(9):
                gates.gate(f"o{number}.0").set()
            await ended(house, 9)

    asyncio.run(story())
    assert gates.most == 3
    assert len(gates.ended) == 9


def failing(heard: Order, **options: str) -> Service:
    """The first event of a key fails for good, unless it is amount 9 or `heard` has "mended"."""
    shop = Service("shop")

    @shop.on(Placed, retry=Retry(1), **options)  # type: ignore[arg-type]
    async def take(e: Placed) -> None:
        if e.amount == 1 and "mended" not in heard:
            raise ConnectionError
        heard.append(f"{e.id}.{e.amount}")

    return shop


@pytest.mark.parametrize("restart", [False, True])
def test_a_dead_letter_blocks_its_lane_until_it_is_retried(restart: bool) -> None:
    heard: Order = []

    async def story() -> None:
        store = memory()
        async with playing(failing(heard), on=store) as house:
            first = await house.emit(Placed("a", 1))
            await house.until_verdict(first, "stuck")
            await house.emit(Placed("a", 2))
            await house.settled(Placed("b", 2))
            execution = (await house.only_execution(Status.PARKED)).id
            assert heard == ["b.2"]
            heard.append("mended")
            if not restart:
                await house.stage.operate("retry", execution)
                await ended(house, 3)
                return
        async with playing(failing(heard), on=store) as house:
            await house.stage.operate("retry", execution)
            await ended(house, 3)

    asyncio.run(story())
    assert heard == ["b.2", "mended", "a.1", "a.2"]


def test_dropping_a_dead_letter_opens_its_lane() -> None:
    heard: Order = []

    async def story() -> None:
        async with playing(failing(heard)) as house:
            first = await house.emit(Placed("a", 1))
            await house.until_verdict(first, "stuck")
            second = await house.emit(Placed("a", 2))
            said = await house.stage.operate("drop", (await house.only_execution(Status.PARKED)).id)
            assert said == "shop.take was dropped"
            assert (await second.verdict(timeout=5)).is_final
            assert (await first.verdict()).is_final

    asyncio.run(story())
    assert heard == ["a.2"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_parked_dead_letter_leaves_its_lane_open(restart: bool) -> None:
    heard: Order = []

    async def story() -> None:
        store = memory()
        async with playing(failing(heard, on_failure="park"), on=store) as house:
            await house.until_verdict(await house.emit(Placed("a", 1)), "stuck")
            if not restart:
                await house.settled(Placed("a", 2))
                return
        async with playing(failing(heard, on_failure="park"), on=store) as house:
            await house.settled(Placed("a", 2))

    asyncio.run(story())
    assert heard == ["a.2"]


def test_a_node_starts_when_a_handler_that_parked_now_blocks() -> None:
    heard: Order = []

    async def story() -> None:
        store = memory()
        async with playing(failing(heard, on_failure="park"), on=store) as house:
            for _ in range(2):
                await house.until_verdict(await house.emit(Placed("a", 1)), "stuck")
        async with playing(failing(heard, on_failure="block"), on=store) as house:
            heard.append("mended")
            for view in await house.executions(Status.PARKED):
                await house.stage.operate("retry", view.id)
            await ended(house, 2)

    asyncio.run(story())
    assert heard == ["mended", "a.1", "a.1"]


def waiting(heard: Order, lane: str) -> Service:
    shop = Service("shop")

    @shop.on(Placed, lane=lane)  # type: ignore[arg-type]
    async def take(e: Placed) -> None:
        heard.append(f"begin {e.amount}")
        if e.amount == 1:
            await wait(Approved)
        heard.append(f"end {e.amount}")

    return shop


@pytest.mark.parametrize("restart", [False, True])
def test_until_wait_lets_the_next_event_of_a_key_in_when_the_first_waits(restart: bool) -> None:
    heard: Order = []

    async def story() -> None:
        store = memory()
        async with playing(waiting(heard, "until-wait"), on=store) as house:
            first = await house.emit(Placed("a", 1))
            await house.until_verdict(first, "waiting")
            if not restart:
                await house.settled(Placed("a", 2))
        async with playing(waiting(heard, "until-wait"), on=store) as house:
            if restart:
                await house.settled(Placed("a", 2))
            waits = await house.only_execution(Status.WAITING)
            await house.emit(Approved("a"), process=house.node.numbers.identity.wire(waits.process))
            await ended(house, 2)

    asyncio.run(story())
    assert heard == ["begin 1", "begin 2", "end 2", "begin 1", "end 1"]


def test_until_end_holds_the_lane_over_a_wait() -> None:
    heard: Order = []

    async def story() -> None:
        async with playing(waiting(heard, "until-end")) as house:
            first = await house.emit(Placed("a", 1))
            await house.until_verdict(first, "waiting")
            second = await house.emit(Placed("a", 2))
            assert (await second.verdict()).status == "running"
            await house.emit(Approved("a"), process=first)
            await ended(house, 2)

    asyncio.run(story())
    assert heard == ["begin 1", "begin 1", "end 1", "begin 2", "end 2"]


def test_a_handlers_own_key_makes_the_lanes() -> None:
    gates, shop = Gates(), Service("shop")

    @step
    async def pass_by(name: str) -> None:
        await gates.pass_by(name)

    @shop.on(Approved, key="by")
    async def take(e: Approved) -> None:
        await pass_by(f"{e.by}.{e.id}")

    async def story() -> None:
        async with playing(shop) as house:
            for event in (Approved("1", "ada"), Approved("2", "ada"), Approved("1", "bob")):
                await house.emit(event)
            await gates.until_began("ada.1", "bob.1")
            assert gates.began == ["ada.1", "bob.1"]
            for name in ("ada.1", "ada.2", "bob.1"):
                gates.gate(name).set()

            async def all_ended() -> bool:
                return house.node.open == {}

            await house.until(all_ended)

    asyncio.run(story())


def nothing_left(house: House) -> None:
    node = house.node
    assert node.open == {}
    assert node.numbers.waiting == {}
    assert node.dispatcher.dropped == set()
    assert node.dispatcher.running == {}
    assert node.dispatcher.busy == 0
    for reaction in node.reactions.values():
        assert (reaction.lanes, len(reaction.backlog), reaction.running) == ({}, 0, 0)
    for part, names in (
        (node.mailbox, ("_recent", "_order")),
        (node.admission, ("_open", "_names", "_recent", "_order", "_fresh")),
        (node.watch, ("_waiters",)),
        (node.store._window, ("_refused", "_results", "_waiters", "_buffer")),  # type: ignore[attr-defined]  # noqa: SLF001
    ):
        for name in names:
            assert not getattr(part, name), f"{type(part).__name__}.{name} is not empty"


def test_ten_thousand_events_leave_nothing_behind() -> None:
    shop, mail = Service("shop"), Service("mail")

    @step
    async def charge(order_id: str) -> str:
        return order_id

    @shop.on(Placed, retry=Retry(3))
    async def take(e: Placed) -> Paid:
        if e.amount % 7 == 0:
            return Paid(e.id, (await wait(Approved)).by)
        if e.amount % 5 == 0:
            await asyncio.gather(charge(e.id), charge(e.id))
        return Paid(e.id, "at once")

    @mail.on(Paid)
    async def thank(e: Paid) -> None:
        if e.id.endswith("13"):
            await charge(e.id)

    async def story() -> None:
        order = Process("order", starts=Placed, done=Paid, external=[Approved], failed=[Refused])
        async with playing(shop, mail, order) as house:
            node = house.node
            for chunk in range(0, 10_000, 1000):
                numbers = range(chunk, chunk + 1000)
                await asyncio.gather(*(house.emit(Placed(f"o{n}", n), id=f"place-{n}") for n in numbers))
                await asyncio.gather(*(house.emit(Approved(f"o{n}", "ada")) for n in numbers if n % 7 == 0))

            async def all_ended() -> bool:
                return node.open == {}

            await house.until(all_ended)
            await node.settle_window()
            nothing_left(house)
            assert len(await house.events("shop.paid")) == 10_000
            assert node.recovery.repaired == 0
            assert node.store.statistics()["refused"] == 0

    asyncio.run(story())

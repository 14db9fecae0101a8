"""Batching at one node: who leads, who belongs to whom, and what an event does that cannot be decoded."""

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.unit.runtime.playhouse import House, Placed, playing

from onstage import Retry, Service, event
from onstage.core.journal import Slept, Valued
from onstage.events.receipt import Status
from onstage.runtime.batching import Batching, members_in


@event("batching.picky", key="id")
@dataclass(frozen=True)
class Picky:
    id: str
    n: int

    def __post_init__(self) -> None:
        if Picky.refused and self.n in Picky.refused:
            raise ValueError(f"{self.n} is refused")


Picky.refused = frozenset[int]()  # type: ignore[attr-defined]


def shop(batches: list[list[str]], **options: Any) -> Service:
    service = Service("shop")

    @service.on(Placed, **{"batch": 3, "batch_wait": "1h"} | options)
    async def take(events: list[Placed]) -> None:
        batches.append([each.id for each in events])

    return service


async def statuses(house: House) -> list[str]:
    processes = await house.node.store.reader.processes()
    views = [view for row in processes for view in await house.node.store.reader.executions(process=row.id)]
    return [Status(view.status).label for view in sorted(views, key=lambda view: view.id)]


def test_a_full_batch_runs_at_once_and_the_rest_gathers() -> None:
    batches: list[list[str]] = []

    async def story() -> None:
        async with playing(shop(batches)) as house:
            processes = [await house.emit(Placed(name)) for name in "abcd"]
            for process in processes[:3]:
                assert (await process.verdict(timeout=10)).is_final
            assert (await processes[3].verdict()).status == "running"
            batching = house.node.flow.batching(next(iter(house.node.reactions.values())))
            assert isinstance(batching, Batching)
            assert len(batching) == 1
            assert len(house.node.open) == 1
            assert await statuses(house) == ["done", "done", "done", "ready"]

    asyncio.run(story())
    assert batches == [["a", "b", "c"]]


def test_a_leader_that_is_gone_before_it_begins_does_not_hold_back_the_others() -> None:
    batches: list[list[str]] = []
    goes_on = asyncio.Event()

    async def story() -> None:
        service = Service("shop")

        @service.on(Placed, batch=4, batch_wait="100ms")
        async def take(events: list[Placed]) -> None:
            batches.append([each.id for each in events])
            await goes_on.wait()

        async with playing(service) as house:
            processes = [await house.emit(Placed("a"))]
            async with asyncio.timeout(10):
                while not batches:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            processes += [await house.emit(Placed(name)) for name in "cde"]
            await asyncio.sleep(0.3)  # c leads, and waits in the lane; nothing comes after d and e
            leader = sorted(house.node.open)[1]
            house.node.open.pop(leader)
            house.node.dispatcher.dropped.add(leader)  # as if its commit had been refused
            goes_on.set()
            for process in processes[2:]:
                assert (await process.verdict(timeout=10)).is_final

    asyncio.run(story())
    assert batches == [["a"], ["d", "e"]]


def test_a_handler_of_single_events_has_no_batching() -> None:
    async def story() -> None:
        service = Service("shop", concurrency=5)

        @service.on(Placed)
        async def take(e: Placed) -> None: ...

        async with playing(service) as house:
            assert house.node.flow.batching(next(iter(house.node.reactions.values()))) is None

    asyncio.run(story())


def test_an_event_that_cannot_be_decoded_is_set_aside_alone() -> None:
    batches: list[list[int]] = []
    service = Service("shop")

    @service.on(Picky, batch=3, batch_wait="1h", retry=Retry(1))
    async def take(events: list[Picky]) -> None:
        batches.append([each.n for each in events])

    async def story(refused: int) -> None:
        async with playing(service) as house:
            processes = [await house.emit(Picky(str(n), n)) for n in range(2)]
            Picky.refused = frozenset({refused})  # type: ignore[attr-defined]
            try:
                processes.append(await house.emit(Picky("2", 2)))
                others = [process for n, process in enumerate(processes) if n != refused]
                await house.until_verdict(processes[refused], "stuck")
                if refused == 0:  # it would have led the batch
                    others.append(await house.emit(Picky("3", 3)))
                for process in others:
                    assert (await process.verdict(timeout=10)).is_final
            finally:
                Picky.refused = frozenset()  # type: ignore[attr-defined]

    asyncio.run(story(1))
    assert batches == [[0, 2]]
    batches.clear()
    asyncio.run(story(0))
    assert batches == [[1, 2, 3]]


def test_the_journal_tells_who_belongs_to_a_batch() -> None:
    assert members_in([Valued("batch#0", b"[65537,131073]"), Slept("sleep#0")]) == (65537, 131073)
    assert members_in([Slept("sleep#0")]) == ()
    assert members_in(()) == ()


def test_with_more_places_batches_overlap_and_have_no_lane() -> None:
    batches: list[list[str]] = []

    async def story() -> None:
        async with playing(shop(batches, concurrency=4)) as house:
            processes = [await house.emit(Placed(str(n))) for n in range(12)]
            for process in processes:
                assert (await process.verdict(timeout=10)).is_final
            reaction = next(iter(house.node.reactions.values()))
            assert reaction.lanes == {}

    asyncio.run(story())
    assert sorted(name for batch in batches for name in batch) == sorted(map(str, range(12)))

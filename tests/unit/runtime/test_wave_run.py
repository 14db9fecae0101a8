"""A wave under way: what it does again in another life, and what it does not."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Clock, Placed, logged, memory, playing
from tests.unit.runtime.shop_undone import WHOLE, undone_shop

from onstage.core.undoing import UNDO
from onstage.runtime import wave_run
from onstage.stores.memory_rows import MemoryReader


def test_it_goes_on_in_the_next_life_where_it_was() -> None:
    """An undo waits for an hour, the node ends meanwhile; what was undone before is not undone again."""
    did: list[str] = []
    closed = [True]

    async def story() -> None:
        store = memory()
        async with playing(*undone_shop(did, fails=lambda _: closed[0]), on=store) as house:
            process = await house.emit(Placed("o1", -1))
            await house.until_verdict(process, "compensating")

            async def is_late() -> bool:
                return "onstage.undo tries again" in str(await process.verdict())

            await house.until(is_late)
        closed[0] = False
        clock = Clock()
        clock.ahead_ms = 7_200_000
        async with playing(*undone_shop(did, fails=lambda _: closed[0]), on=store, clock=clock) as house:
            number = house.node.numbers.identity.local(process.id) or 0
            assert (await house.node.watch.verdict(number, 5, None)).status == "compensated"
            assert len(await house.events(UNDO)) == 2

    asyncio.run(story())
    assert did == WHOLE


def test_a_process_that_is_complete_is_undone_on_request() -> None:
    async def story() -> None:
        did: list[str] = []
        async with playing(*undone_shop(did)) as house:
            process = await house.emit(Placed("o1", 3))
            assert (await process.verdict(timeout=5)).status == "completed"
            number = house.node.numbers.identity.local(process.id) or 0
            await house.node.waves.request(number, "no regrets", completed=True)
            assert (await process.verdict(timeout=5)).status == "compensated"
        assert did == WHOLE

    asyncio.run(story())


def test_what_fails_in_it_is_logged_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    plain, failures = MemoryReader.executions, [2]

    async def executions(self: MemoryReader, **options: Any) -> Any:
        is_wave = "statuses" not in options and bool(await self.waves())  # a verdict asks for statuses
        failures[0] -= is_wave
        if is_wave and failures[0] >= 0:
            raise RuntimeError("the reader is gone")
        return await plain(self, **options)

    async def story() -> None:
        async with playing(*undone_shop(did)) as house:
            assert (await house.settled(Placed("o1", -1))).status == "compensated"

    monkeypatch.setattr(wave_run, "AGAIN_S", 0.0)
    monkeypatch.setattr(MemoryReader, "executions", executions)
    with logged("onstage.wave") as said:
        asyncio.run(story())
    assert said == ["undoing a process failed; it is tried again in 0.0 s"] * 2
    assert did == WHOLE

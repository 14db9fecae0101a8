"""Milestones and deadlines where services run apart: an observer says what is late, the owner's store ends it."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.runtime.playhouse import PATIENCE_S, Paid, Placed, Refused
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import Process
from onstage.ports.store import EventView

HOUR_MS = 3_600_000


def late_play() -> Play:
    play = Play()
    play.order = Process(
        "order",
        starts=Placed,
        done=Paid,
        failed=Refused,
        owner=play.shop,
        within={Paid: "1h"},
        deadline="2h",
        late=lambda e: Refused(e.id),
    )
    return play


def pass_by(troupe: Troupe, ms: int) -> None:
    """Let time pass, and let everybody look at the clock."""
    troupe.clock.ahead_ms += ms
    for node in troupe.nodes.values():
        if node.monitor is not None:
            node.monitor.poke()
    assert troupe.observatory is not None
    assert troupe.observatory.monitor is not None
    troupe.observatory.monitor.poke()


async def events_at(troupe: Troupe, name: str, type: str) -> list[EventView]:
    return await troupe.stores[name].reader.events(type=type)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110  several nodes at work
            await asyncio.sleep(0.01)


def test_an_observer_says_what_is_late_although_the_service_is_down() -> None:
    async def story() -> None:
        async with touring(play=late_play()) as troupe:
            await troupe.end("bank")
            process = await troupe.emit("shop", Placed("o1"))
            assert troupe.observatory is not None
            observatory = troupe.observatory

            async def is_seen() -> bool:
                return bool(await troupe.watching.reader.progress_due(limit=1))

            await until(is_seen)
            pass_by(troupe, HOUR_MS + 1_000)

            async def is_stuck() -> bool:
                verdict = await observatory.verdict(process, 0)
                return verdict is not None and verdict.status == "stuck"

            await until(is_stuck)
            verdict = await observatory.verdict(process, 0)
            assert verdict is not None
            assert "shop.paid is overdue since" in verdict.reasons[0]
            assert "owed by bank" in verdict.reasons[0]
            assert await events_at(troupe, "shop", "shop.refused") == []
            await troupe.begin("bank")
            assert (await troupe.verdict(process)).outcome == "shop.paid"

    asyncio.run(story())


def test_the_owner_ends_what_is_past_its_deadline() -> None:
    async def story() -> None:
        async with touring(play=late_play()) as troupe:
            await troupe.end("bank")
            process = await troupe.emit("shop", Placed("o1"))
            await until_watched(troupe)
            pass_by(troupe, 2 * HOUR_MS + 1_000)

            async def is_ended() -> bool:
                return len(await events_at(troupe, "shop", "shop.refused")) == 1

            await until(is_ended)
            await troupe.begin("bank")
            verdict = await troupe.verdict(process)
            assert verdict.outcome == "shop.refused"
            assert len(await events_at(troupe, "shop", "shop.refused")) == 1

    asyncio.run(story())


def test_the_owner_hears_of_the_outcome_and_emits_nothing() -> None:
    async def story() -> None:
        async with touring(play=late_play()) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            assert (await troupe.verdict(process)).outcome == "shop.paid"

            async def has_outcome() -> bool:
                rows = await troupe.stores["shop"].reader.processes()
                return [row.outcome for row in rows] == ["shop.paid"]

            await until(has_outcome)
            pass_by(troupe, 3 * HOUR_MS)

            async def is_decided() -> bool:
                return await troupe.stores["shop"].reader.progress_due(troupe.clock.now_ms()) == []

            await until(is_decided)
            assert await events_at(troupe, "shop", "shop.refused") == []

    asyncio.run(story())


def test_outcomes_of_processes_that_others_keep_are_not_stored() -> None:
    async def story() -> None:
        play = late_play()
        async with touring(play=play) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await troupe.verdict(process)
            assert await events_at(troupe, "bank", "shop.refused") == []
            assert troupe.nodes["bank"].monitor is None or not troupe.nodes["bank"].routes["shop.refused"].decides

    asyncio.run(story())


async def until_watched(troupe: Troupe) -> None:
    async def is_watched() -> bool:
        return bool(await troupe.stores["shop"].reader.progress_due(limit=1))

    await until(is_watched)

"""Retirements and replays in one service's part of the processes; the observer has the whole."""

import asyncio

from tests.unit.runtime.playhouse import Paid, Placed, Refused
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import wait
from onstage.events.receipt import Status
from onstage.runtime.subscriptions import manage


def with_a_handler_more() -> Play:
    play = Play()

    @play.post.on(Paid, waits=[Refused])
    async def linger(e: Paid) -> None:
        await wait(Refused)

    return play


async def at_rest(troupe: Troupe, name: str) -> None:
    node = troupe.nodes[name]
    await troupe.until(lambda: all(course.ended for course in node.history.courses.values()) and not node.open)
    await node.settle_window()


def test_a_retired_handlers_part_is_written_off_for_the_whole() -> None:
    async def story() -> None:
        async with touring(play=with_a_handler_more()) as troupe:
            process = await troupe.emit("shop", Placed("o1", 5))
            await troupe.until(lambda: any(d.waits for d in troupe.nodes["post"].open.values()))
            await troupe.end("post")
            troupe.play = Play()
            await troupe.begin("post")
            told = await manage(troupe.nodes["post"], "retire", "post.linger", {})
            assert told == {"handler": "post.linger", "obligations": 1, "processes": 1}
            verdict = await troupe.verdict(process)
            assert (verdict.status, verdict.outcome) == ("completed", "shop.paid")
            views = await troupe.watching.reader.executions(process=1)
            assert Status.WRITTEN_OFF in {Status(view.status) for view in views}

    asyncio.run(story())


def test_a_replay_in_one_service_changes_nothing_for_the_whole() -> None:
    async def story() -> None:
        async with touring() as troupe:
            process = await troupe.emit("shop", Placed("o1", 5))
            before = await troupe.verdict(process)
            told = await manage(troupe.nodes["post"], "replay", "post.tell", {"after": 0})
            assert (told["handler"], told["events"]) == ("post.tell@1", 1)
            await at_rest(troupe, "post")
            assert troupe.play.effects.count(("Paid", "o1")) == 2
            assert await troupe.verdict(process) == before
            again = await troupe.emit("shop", Placed("o2", 5))
            assert (await troupe.verdict(again)).status == "completed"

    asyncio.run(story())

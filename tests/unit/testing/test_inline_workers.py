"""Workers on the loop, in a fixed order."""

import asyncio
from collections.abc import Awaitable, Callable

from onstage.testing.inline_workers import InlineWorkers


def play(story: Callable[[InlineWorkers, list[str]], Awaitable[None]]) -> list[str]:
    async def run() -> list[str]:
        heard: list[str] = []
        await story(InlineWorkers(), heard)
        return heard

    return asyncio.run(run())


def test_work_runs_in_a_later_turn_and_in_order() -> None:
    async def story(workers: InlineWorkers, heard: list[str]) -> None:
        workers.submit(lambda: heard.append("first"))
        workers.post(lambda: heard.append("second"))
        heard.append("now")
        await workers.run(lambda: heard.append("step"))

    assert play(story) == ["now", "first", "second", "step"]


def test_delayed_work_runs_behind_the_rest() -> None:
    async def story(workers: InlineWorkers, heard: list[str]) -> None:
        done = asyncio.Event()
        workers.submit(lambda: (heard.append("late"), done.set())[1], delay_s=0.001)
        workers.submit(lambda: heard.append("soon"))
        await done.wait()

    assert play(story) == ["soon", "late"]


def test_close_drops_what_has_not_run() -> None:
    async def story(workers: InlineWorkers, heard: list[str]) -> None:
        workers.submit(lambda: heard.append("lost"))
        await workers.close()
        await asyncio.sleep(0)

    assert play(story) == []

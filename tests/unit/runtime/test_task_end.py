"""Background tasks are gone when their end is over."""

import asyncio

from onstage.runtime.task_end import end_tasks


def test_tasks_have_ended_when_it_returns_however_they_end() -> None:
    told: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            told.append("slow")

    async def wrong() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("wrong")
            raise ValueError

    async def story() -> None:
        tasks = [asyncio.create_task(slow()), asyncio.create_task(wrong())]
        await asyncio.sleep(0)
        await end_tasks(tasks[0], None, tasks[1])
        assert sorted(told) == ["slow", "wrong"]
        assert tasks[0].cancelled()
        assert isinstance(tasks[1].exception(), ValueError)
        await end_tasks(*tasks)

    asyncio.run(story())


def test_nothing_is_waited_for_where_nothing_was_begun() -> None:
    asyncio.run(end_tasks(None))

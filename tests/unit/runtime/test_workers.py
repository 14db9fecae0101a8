"""Threads: one writer, in order, and a pool for synchronous steps."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from onstage.runtime.workers import ThreadWorkers


def play(story: Callable[[ThreadWorkers], Awaitable[None]]) -> None:
    async def run() -> None:
        workers = ThreadWorkers()
        try:
            await story(workers)
        finally:
            await workers.close()
            await workers.close()

    asyncio.run(run())


def test_the_writer_is_one_thread_and_works_in_order() -> None:
    heard: list[tuple[int, str]] = []

    async def story(workers: ThreadWorkers) -> None:
        for number in range(50):
            workers.submit(lambda number=number: heard.append((number, threading.current_thread().name)))

    play(story)
    assert heard == [(number, "onstage-writer") for number in range(50)]


def test_what_is_posted_runs_on_the_loop() -> None:
    async def story(workers: ThreadWorkers) -> None:
        told = asyncio.get_running_loop().create_future()
        workers.submit(lambda: workers.post(lambda: told.set_result(threading.current_thread())))
        assert await told is threading.current_thread()

    play(story)


def test_delayed_work_runs_on_the_writer_too() -> None:
    async def story(workers: ThreadWorkers) -> None:
        told = asyncio.get_running_loop().create_future()

        def late() -> None:
            name = threading.current_thread().name
            workers.post(lambda: told.set_result(name))

        workers.submit(late, delay_s=0.001)
        assert await told == "onstage-writer"

    play(story)


def test_close_finishes_what_was_submitted_and_drops_what_is_delayed() -> None:
    heard: list[str] = []

    async def story(workers: ThreadWorkers) -> None:
        workers.submit(lambda: heard.append("late"), delay_s=60)
        workers.submit(lambda: heard.append("done"))

    play(story)
    assert heard == ["done"]


def test_an_error_of_the_writer_is_logged_and_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    async def story(workers: ThreadWorkers) -> None:
        workers.submit(lambda: int("no"))
        workers.submit(lambda: heard.append("goes on"))

    play(story)
    assert heard == ["goes on"]
    assert "please report this" in caplog.text


def test_a_step_runs_beside_the_loop_and_answers() -> None:
    async def story(workers: ThreadWorkers) -> None:
        assert (await workers.run(threading.current_thread)).name.startswith("onstage-step")
        with pytest.raises(ValueError, match="no"):
            await workers.run(lambda: int("no"))

    play(story)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_cancelled_step_is_waited_for_however_often_it_is_cancelled(times: int) -> None:
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def step() -> None:
        began.set()
        may_end.wait(10)
        ended.set()

    async def story(workers: ThreadWorkers) -> None:
        running = asyncio.ensure_future(workers.run(step))
        await asyncio.to_thread(began.wait)
        for time in range(times):
            running.cancel(f"number {time}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not running.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError, match="number 0"):
            await running
        assert ended.is_set()

    play(story)


def test_a_cancelled_step_that_failed_raises_the_cancellation() -> None:
    began, may_end = threading.Event(), threading.Event()

    def step() -> None:
        began.set()
        may_end.wait(10)
        raise ValueError("no")

    async def story(workers: ThreadWorkers) -> None:
        running = asyncio.ensure_future(workers.run(step))
        await asyncio.to_thread(began.wait)
        running.cancel()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await running

    play(story)

"""A loop that jumps through time, refuses the outer world, and can be killed."""

import asyncio
from typing import Any

import pytest

from onstage.errors import UsageError
from onstage.testing import virtual_loop
from onstage.testing.virtual_loop import Killed, VirtualLoop


def test_a_day_passes_at_once() -> None:
    loop = VirtualLoop()

    async def sleeper() -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    assert loop.run_until_complete(sleeper()) == 86_400
    loop.close()


def test_it_runs_to_the_horizon_and_no_further() -> None:
    loop, fired = VirtualLoop(5.0), list[float]()
    for delay_s in (0, 1, 2.0004, 3):
        loop.call_later(delay_s, lambda: fired.append(loop.time()))
    assert loop.next_timer_s == 5.0
    loop.run_to(7.001)
    assert fired == [5.0, 6.0, 7.001], "a timer is never early, and falls on a whole millisecond"
    assert (loop.time(), loop.next_timer_s) == (7.001, 8.0)
    loop.run_to(9.5)
    assert len(fired) == 4
    assert loop.time() == 9.5
    assert not loop.next_timer_s
    loop.close()


def test_a_killed_loop_runs_nothing_after_the_present_callback() -> None:
    loop, ran = VirtualLoop(), list[str]()

    async def dies() -> None:
        loop.call_soon(ran.append, "ready before")
        loop.kill_soon()
        await asyncio.sleep(0)
        ran.append("after")

    loop.create_task(dies())
    loop.call_soon(ran.append, "queued")
    with pytest.raises(Killed):
        loop.run_to(1)
    assert ran == []
    loop.is_dead = True
    for task in asyncio.all_tasks(loop):
        task.get_coro().close()  # type: ignore[union-attr,unused-ignore]
    loop.close()


@pytest.mark.parametrize("name", ["create_connection", "run_in_executor", "subprocess_exec", "getaddrinfo"])
def test_what_reaches_out_is_refused_by_name(name: str) -> None:
    loop = VirtualLoop()
    with pytest.raises(UsageError, match=f"{name} was called in a simulated world"):
        getattr(loop, name)()
    loop.close()


def test_running_in_circles_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "TURNS_MAX", 50)
    loop = VirtualLoop()

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(AssertionError, match="runs in circles"):
        loop.run_to(1)
    loop.close()


def test_what_breaks_is_kept_until_the_loop_is_dead() -> None:
    loop = VirtualLoop()
    loop.call_exception_handler({"message": "one"})
    loop.is_dead = True
    loop.call_exception_handler({"message": "two"})
    assert loop.broken == [{"message": "one"}]
    loop.close()


def test_whoever_looks_at_a_turn_sees_what_is_ready_and_may_end_it() -> None:
    loop, seen = VirtualLoop(), list[str]()
    loop.call_soon(seen.append, "first")
    loop.call_soon(seen.append, "second")

    def turn(of: VirtualLoop) -> None:
        ready: Any = of._ready  # type: ignore[attr-defined]  # noqa: SLF001
        if len(ready) == 2:
            ready.rotate()
            ready.insert(1, of.killer())

    loop.on_turn = turn
    with pytest.raises(Killed):
        loop.run_to(1.0)
    assert seen == ["second"]
    loop.close()

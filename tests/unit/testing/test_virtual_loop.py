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


@pytest.mark.parametrize("start_s", [0.0, 2.0**24 + 0.01, 1.8e9])
def test_a_timer_is_due_at_its_time_however_late_it_is(start_s: float) -> None:
    loop = VirtualLoop(start_s)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert loop.time() == pytest.approx(start_s + 0.01, abs=1e-6)
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


@pytest.mark.parametrize("is_debugged", [False, True])
def test_turns_are_those_of_asyncio(is_debugged: bool) -> None:
    """What is called, in which turn and in which order, is the same as on asyncio's own `_run_once`."""
    assert played(plain_turns=False, is_debugged=is_debugged) == played(plain_turns=True, is_debugged=is_debugged)


def played(*, plain_turns: bool, is_debugged: bool) -> list[tuple[object, ...]]:
    loop, seen = VirtualLoop(1.0), list[tuple[object, ...]]()
    loop.set_debug(is_debugged)
    if plain_turns:
        loop._run_once = super(VirtualLoop, loop)._run_once  # type: ignore[misc,method-assign]  # noqa: SLF001
        loop.call_soon = super(VirtualLoop, loop).call_soon  # type: ignore[method-assign]
    loop.on_turn = lambda _: seen.append(("turn", loop.time(), len(loop._ready)))  # noqa: SLF001

    def act(name: int, left: int) -> None:
        seen.append((name, loop.time()))
        if not left:
            return
        loop.call_soon(act, name, 0)
        timers = [loop.call_later((name * n) % 7 / 100, act, 10 * name + n, left - 1) for n in range(4)]
        timers[name % 4].cancel()
        for n in range(40 if name == 3 else 0):  # more cancelled timers than are kept
            loop.call_later(5 + n % 3, act, 1_000 + n, 0)
            loop.call_later(4, seen.append, "never").cancel()
            loop.call_later(6, seen.append, "never").cancel()

    for name in range(1, 6):
        loop.call_soon(act, name, 3)
    loop.call_later(200_000, act, 7, 1)
    loop.run_to(100)
    loop.run_to(300_000)
    loop.close()
    return seen

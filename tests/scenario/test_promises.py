"""What the engine promises, told as short scenes in a simulated world."""

import asyncio
from collections.abc import Callable

import pytest
from tests.scenario.scenes import (
    Approved,
    Cancelled,
    Closed,
    Midway,
    Opened,
    act,
    acting,
    approving,
    bow,
    effects,
    note,
    one,
    order,
    played,
    rejecting,
    speak,
    turn,
)

from onstage import (
    Retry,
    Service,
    emit,
    sleep,
    step,
)
from onstage.errors import DuplicateId
from onstage.testing import Sim


@pytest.fixture(autouse=True)
def _clean() -> None:
    effects.clear()
    order.clear()


def test_an_event_that_comes_before_its_wait_is_not_lost() -> None:
    async def scene(sim: Sim) -> None:
        sim.delay(act, "1m")
        await sim.emit(Opened("a"))
        await sim.emit(Approved("a"))
        await sim.settle()
        assert sim.outcome("a") == "Closed"

    played(scene, one(approving))


def test_an_event_that_comes_too_late_changes_nothing() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.advance("25h")
        await sim.emit(Approved("a"))
        await sim.settle()
        assert sim.outcome("a") == "Cancelled" or sim.emitted(Cancelled)
        assert not sim.emitted(Closed)

    played(scene, one(approving))


def test_a_rejection_undoes_the_finished_steps_last_first() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.settle()
        did = [what for what, _ in effects]
        assert did == ["bow 0", "bow 1", "bow 2", "unbow 2 bowed 2", "unbow 1 bowed 1", "unbow 0 bowed 0"]
        assert not sim.emitted(Closed)
        assert sim.verdict("a").status == "compensated"

    played(scene, one(rejecting))


def test_a_dead_letter_resumes_at_the_failed_step() -> None:
    def handler(stage: Service) -> None:
        @stage.on(Opened, retry=Retry(2))
        async def play(e: Opened) -> Closed:
            await bow(e.key, 0)
            await act(e.key)
            return Closed(e.key)

    async def scene(sim: Sim) -> None:
        sim.fail(act, ConnectionError("no line"), times=8)
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.verdict("a").status == "stuck"
        assert sim.calls(act) == 8, "four attempts of the step in each of the handler's two"
        assert await sim.operate("retry", "a") == 1
        await sim.settle()
        assert sim.outcome("a") == "Closed"
        assert sim.calls(bow) == 1

    played(scene, one(handler))


def test_a_dropped_dead_letter_opens_its_lane() -> None:
    async def scene(sim: Sim) -> None:
        sim.fail(act, ValueError("never"), times=20)
        await sim.emit(Opened("a"))
        await sim.settle()
        await sim.emit(Opened("a", 1))
        await sim.settle()
        assert sim.calls(act) == 20
        first = sim.emitted(Opened)
        assert len(first) == 2
        assert not effects

    async def dropping(sim: Sim) -> None:
        sim.fail(act, ValueError("never"), times=20)
        wire = await sim.emit(Opened("a"))
        await sim.settle()
        await sim.emit(Opened("a", 1))
        assert await sim.operate("drop", wire) == 1
        await sim.settle()
        assert len(effects) == 1
        assert sim.outcome("a") == "Closed"

    played(scene, one(acting))
    played(dropping, one(acting))


def ordered(**options: object) -> Callable[[Service], None]:
    def handler(stage: Service) -> None:
        @stage.on(Opened, retry=Retry(1), **options)  # type: ignore[call-overload,untyped-decorator,unused-ignore]
        async def play(e: Opened) -> None:
            await turn(e.key, e.n)

    return handler


def test_events_of_one_key_are_handled_in_order_and_other_keys_do_not_wait() -> None:
    async def scene(sim: Sim) -> None:
        sim.delay(turn, "1s")
        started = sim.clock.now_ms()
        for n in range(4):
            await sim.emit(Opened("a", n))
            await sim.emit(Opened("b", n))
        await sim.settle()
        assert [n for key, n in order if key == "a"] == [0, 1, 2, 3]
        assert [n for key, n in order if key == "b"] == [0, 1, 2, 3]
        assert sim.clock.now_ms() - started == 4000, "one second for each of a key, both keys at once"

    played(scene, one(ordered(), process=False))


def test_a_dead_letter_blocks_its_key_until_it_is_retried() -> None:
    async def scene(sim: Sim) -> None:
        sim.fail(turn, ValueError("once"), times=4)
        wire = await sim.emit(Opened("a", 0))
        await sim.settle()
        await sim.emit(Opened("a", 1))
        await sim.emit(Opened("b", 0))
        await sim.settle()
        assert order == [("b", 0)]
        await sim.restart()
        await sim.settle()
        assert order == [("b", 0)], "nor does a restart open the lane"
        await sim.operate("retry", wire)
        await sim.settle()
        assert order == [("b", 0), ("a", 0), ("a", 1)]

    played(scene, one(ordered(), process=False))


def test_a_dead_letter_that_parks_lets_its_key_go_on() -> None:
    async def scene(sim: Sim) -> None:
        sim.fail(turn, ValueError("once"), times=4)
        wire = await sim.emit(Opened("a", 0))
        await sim.settle()
        await sim.emit(Opened("a", 1))
        await sim.settle()
        assert order == [("a", 1)]
        await sim.operate("retry", wire)
        await sim.settle()
        assert order == [("a", 1), ("a", 0)]

    played(scene, one(ordered(on_failure="park"), process=False))


def test_an_event_emitted_in_the_middle_is_emitted_once_whatever_happens_afterwards() -> None:
    def handler(stage: Service) -> None:
        @stage.on(Opened)
        async def play(e: Opened) -> Midway | Closed:
            await emit(Midway(e.key))
            await act(e.key)
            return Closed(e.key)

        @stage.on(Midway)
        async def listen(e: Midway) -> None:
            await speak(e.key)

    app = one(handler)

    async def scene(sim: Sim) -> None:
        sim.crash(app.services[0], after=act)
        sim.crash(app.services[0], after=speak)
        await sim.emit(Opened("a"))
        await sim.settle()
        assert len(sim.emitted(Midway)) == len(sim.emitted(Closed)) == 1
        assert sim.world.kills == 2
        assert len(set(effects)) == 2

    played(scene, app)


def test_a_transaction_happens_exactly_once_at_every_crash() -> None:
    counts: list[int] = []

    @step
    async def keep(count: int) -> None:
        counts.append(count)

    def handler(stage: Service) -> None:
        @stage.on(Opened)
        async def play(e: Opened) -> Closed:
            count = await note(e.key)
            await keep(count)
            return Closed(e.key)

    async def scenario(sim: Sim) -> None:
        counts.clear()
        await sim.emit(Opened("a"))
        await sim.settle()
        assert set(counts) == {1}
        assert sim.outcome("a") == "Closed"

    assert asyncio.run(Sim(one(handler)).every_crash(scenario)) == 4


def test_a_sleep_survives_a_restart_and_ends_on_time() -> None:
    def handler(stage: Service) -> None:
        @stage.on(Opened)
        async def play(e: Opened) -> Closed:
            await sleep("10h")
            return Closed(e.key)

    async def scene(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.advance("6h")
        await sim.restart()
        await sim.settle()
        await sim.advance("3h")
        assert sim.outcome("a") is None
        await sim.advance("1h")
        assert sim.outcome("a") == "Closed"

    played(scene, one(handler))


def test_the_same_id_twice_is_the_same_event() -> None:
    async def scene(sim: Sim) -> None:
        first = await sim.emit(Opened("a"), id="web-1")
        assert await sim.emit(Opened("a"), id="web-1") == first
        await sim.restart()
        assert await sim.emit(Opened("a"), id="web-1") == first
        with pytest.raises(DuplicateId):
            await sim.emit(Opened("b"), id="web-1")
        await sim.settle()
        assert len(effects) == 1

    played(scene, one(acting))

"""Faults as values do what the methods of `Sim` do, in every world that is made with them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.scenario.scenes import Closed, Opened, act, acting, effects, one, order

from onstage.testing import Crash, Delay, Fail, Fault, Sim, Stub

APP = one(acting)
FAILING, CRASHING = Fail(act, ConnectionError("no line"), times=2), Crash(APP.services[0], after=act)


@pytest.fixture(autouse=True)
def _clean() -> None:
    effects.clear()
    order.clear()


def played(scene: Callable[[Sim], Awaitable[None]], *faults: Fault) -> None:
    async def main() -> None:
        async with Sim(APP, faults=faults) as sim:
            await scene(sim)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("faults", "calls", "kills", "took_ms"),
    [
        pytest.param([], 1, 0, 0, id="none"),
        pytest.param([FAILING], 3, 0, None, id="fail"),
        pytest.param([Delay(act, "2s")], 1, 0, 2000, id="delay"),
        pytest.param([CRASHING], 2, 1, 0, id="crash"),
        pytest.param([Crash(APP.services[0], act, times=2)], 3, 2, 0, id="crash twice"),
        pytest.param([FAILING, CRASHING], 4, 1, None, id="fail and crash"),
    ],
)
def test_the_process_ends_in_spite_of_it(faults: list[Fault], calls: int, kills: int, took_ms: int | None) -> None:
    async def scene(sim: Sim) -> None:
        began = sim.clock.now_ms()
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.emitted(Closed) == [Closed("a")]
        assert (sim.calls(act), sim.world.kills) == (calls, kills)
        assert took_ms is None or sim.clock.now_ms() - began == took_ms

    played(scene, *faults)


def test_a_stub_is_in_place_and_more_can_be_added_on_the_way() -> None:
    async def scene(sim: Sim) -> None:
        sim.apply(FAILING)
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.calls(act) == 3
        assert not effects

    played(scene, Stub(act, "stubbed"))


def test_every_crash_plays_with_the_same_faults() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.emit(Opened("a"))
        await sim.settle()
        assert sim.calls(act) >= 3
        assert sim.outcome("a") == "Closed"

    assert asyncio.run(Sim(APP, faults=[FAILING]).every_crash(scenario)) > 2

"""What wakes up takes its tenant's turns too: a tenant whose executions wake all the time delays no other's event."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tests.scenario.flow_scenes import Edited, Many, Task, began, begun, many, played, run_for, work
from tests.scenario.sim_checks import check_settled

from onstage import App, Retry, Service, emit, sleep, step, wait
from onstage.testing import Sim

WAKING = 500
"""So many executions of one tenant wake again and again: they alone would keep all places busy for ever."""

TURN_S = 0.02
"""How long an event may wait for each tenant that competes with it."""

Handler = Callable[[Task], Awaitable[None]]


async def sleeping(e: Task) -> None:
    for _ in range(200):
        await work(e.id)
        await sleep(timedelta(milliseconds=1))


async def waiting(e: Task) -> None:
    for _ in range(200):
        await work(e.id)
        await wait(Edited)


async def ticking(e: Many) -> None:
    """Wakes all that wait in its process, again and again."""
    for n in range(1000):
        await sleep(timedelta(milliseconds=10))
        await emit(Edited(e.id, n))


async def refused(id: str) -> None:
    began.append((asyncio.get_running_loop().time(), id))
    await asyncio.sleep(0.01)
    if id.startswith("big"):
        raise ConnectionError("no line")


often = step(retry=Retry(200, first="1ms", most="1ms"), name="often")(refused)
once = step(retry=Retry(1), name="once")(refused)


async def retrying_steps(e: Task) -> None:
    await often(e.id)


async def failing(e: Task) -> None:
    await once(e.id)


def fair(handler: Handler, places: int, *, budget: float | None = None) -> Service:
    service = Service("flow")
    service.on(Many)(many)
    if handler is waiting:
        service.on(Many)(ticking)
    retry = Retry(200, first="1ms", most="1ms")
    service.on(
        Task, concurrency=places, fair_by="tenant", retry=retry, on_failure="park", retry_budget=budget, name="run"
    )(handler)
    return service


async def others_start_in_time(sim: Sim) -> None:
    """Three other tenants have one event each; four compete."""
    await sim.emit(Many("m", "big", WAKING))
    await run_for(sim, 2)
    assert len(began) > 100, "they keep the places busy"
    before = sim.world.loop.time()
    for tenant in ("b", "c", "d"):
        await sim.emit(Task(tenant, tenant))
    await run_for(sim, 1)
    late = {tenant: (begun(tenant) or 1e9) - before for tenant in ("b", "c", "d")}
    assert max(late.values()) <= TURN_S * 4, late


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("handler", [sleeping, waiting, retrying_steps, failing])
def test_a_tenant_that_wakes_all_the_time_does_not_delay_another(handler: Handler, places: int) -> None:
    played(App(fair(handler, places)), others_start_in_time)


def test_a_tenant_whose_retries_wait_for_their_budget_does_not_delay_another() -> None:
    played(App(fair(failing, 1, budget=1.0)), others_start_in_time)


def test_what_wakes_at_one_handler_does_not_delay_what_is_new_at_another() -> None:
    """They share the places of their service, and each handler has its turn."""
    service = Service("flow", concurrency=1)
    service.on(Many)(many)
    service.on(Task)(sleeping)

    @service.on(Edited)
    async def edit(e: Edited) -> None:
        await work(e.page)

    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "big", WAKING))
        await run_for(sim, 2)
        before = sim.world.loop.time()
        await sim.emit(Edited("page"))
        await run_for(sim, 1)
        assert (begun("page") or 1e9) - before <= TURN_S * 3

    played(App(service), scene)


def test_fairness_of_what_wakes_holds_after_a_restart() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "big", WAKING))
        await run_for(sim, 2)
        await sim.restart()
        before = sim.world.loop.time()
        await sim.emit(Task("b", "b"))
        await run_for(sim, 1)
        assert (begun("b") or 1e9) - before <= TURN_S * 2

    played(App(fair(sleeping, 1)), scene)


def test_what_wakes_is_still_counted_by_no_rate_while_tenants_take_turns() -> None:
    service = Service("flow")
    woken: list[tuple[float, str]] = []

    @service.on(Task, concurrency=2, rate="1/s", fair_by="tenant")
    async def run(e: Task) -> None:
        for _ in range(5):
            await work(e.id)
            await sleep(timedelta(milliseconds=100))

    async def scene(sim: Sim) -> None:
        for tenant in ("a", "b", "c"):
            await sim.emit(Task(tenant, tenant))
        await sim.advance("10s")
        woken.extend(began)
        for tenant in ("a", "b", "c"):
            times = [at for at, name in woken if name == tenant]
            assert len(times) == 5
            assert times[-1] - times[0] < 0.6, "each wake-up goes on at once"
        firsts = sorted(begun(tenant) or 0 for tenant in ("a", "b", "c"))
        assert firsts[2] - firsts[0] >= 1.9, "only the beginnings are counted"
        check_settled(sim)

    played(App(service), scene)

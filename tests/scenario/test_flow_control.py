"""Flow control in simulated worlds: rates, places, priorities, fairness and budgets, by virtual time."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.scenario.flow_scenes import Many, Task, began, begun, played, run_for, tasks, work
from tests.scenario.sim_checks import check_settled

from onstage import App, Retry, Service, step
from onstage.testing import Sim

BACKLOG = 100_000


# Rates.


@pytest.mark.parametrize("where", ["handler", "service"])
@pytest.mark.parametrize(("rate", "per_minute"), [("100/s", 6000), ("1000/m", 1000), ("7/s", 420)])
def test_a_rate_is_kept_within_five_percent_over_a_minute(where: str, rate: str, per_minute: int) -> None:
    app = tasks(rate=rate) if where == "service" else _limited(rate)

    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "a", 2 * per_minute))
        await run_for(sim, 125)
        for start in (0, 30, 60):
            within = [at for at, _ in began if start <= at < start + 60]
            assert 0.95 * per_minute <= len(within) <= 1.05 * per_minute, (start, len(within))

    played(app, scene)


def _limited(rate: str) -> App:
    service = Service("flow")

    @service.on(Many)
    async def many(e: Many) -> list[Task]:
        return [Task(f"{e.tenant}-{n}") for n in range(e.count)]

    @service.on(Task, rate=rate)
    async def run(e: Task) -> None:
        await work(e.id)

    return App(service)


def test_what_a_rate_holds_back_has_no_worker_and_no_task() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "a", 1000))
        await run_for(sim, 2)
        dispatcher = sim.world.node.dispatcher
        assert len(dispatcher.running) <= 1
        assert len(dispatcher._workers) < 10  # noqa: SLF001
        assert len(sim.world.node.open) > 900

    played(_limited("10/s"), scene)


def test_a_rate_is_kept_across_restarts() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "a", 300))
        for _ in range(5):
            await run_for(sim, 2)
            await sim.restart()
        await sim.settle()
        assert len({name for _, name in began}) == 300
        first = [at for at, _ in began if at < 10]
        assert len(first) <= 1.05 * 100 + 5  # one token for each restart
        check_settled(sim)

    played(_limited("10/s"), scene)


@pytest.mark.parametrize("where", ["handler", "service", "key"])
@pytest.mark.parametrize(("rate", "per_minute", "minutes"), [("20/m", 20, 4), ("1/m", 1, 10)])
def test_a_slow_rate_is_kept_although_the_node_dies_in_every_minute(
    where: str, rate: str, per_minute: int, minutes: int
) -> None:
    """Twice in each: a rate that began anew each time would let through up to three times as many."""
    options = {"rate_per_key": rate} if where == "key" else {"rate": rate}
    app = tasks(rate=rate) if where == "service" else _fair(100, **options)
    keys = ("k", "l") if where == "key" else ("k",)

    async def scene(sim: Sim) -> None:
        for n in range(per_minute * minutes * 2):
            for key in keys:
                await sim.emit(Task(key, f"{n}"))
        before = sim.world.loop.time()
        for n in range(minutes):
            for pause_s in (17.3 + n, 23.9 - n):
                await run_for(sim, pause_s)
                await sim.restart()
            await run_for(sim, 18.8)
            within = [at for at, _ in began if at - before >= n * 60]
            assert abs(len(within) - per_minute * len(keys)) <= max(1, 0.05 * per_minute) * len(keys), (n, within)
        assert abs(len(began) - per_minute * minutes * len(keys)) <= max(1, 0.05 * per_minute * minutes) * len(keys)
        assert len(sim.read(lambda reader: reader.notes("rate flow.run per key"))) <= (2 if where == "key" else 0)

    played(app, scene)


def test_a_rate_per_key_limits_each_key_and_no_other() -> None:
    service = Service("flow")

    @service.on(Task, rate_per_key="1/s")
    async def run(e: Task) -> None:
        await work(e.id)

    async def scene(sim: Sim) -> None:
        for n in range(5):
            await sim.emit(Task("a", str(n)))
        for n in range(20):
            await sim.emit(Task(f"b{n}"))
        await sim.settle()
        own = [at for at, name in began if name == "a"]
        assert [round(at - own[0], 3) for at in own] == [0, 1, 2, 3, 4]
        assert max(at for at, name in began if name != "a") < 0.5

    played(App(service), scene)


# Places.


def _most_at_once() -> int:
    ends = [(at, 1) for at, _ in began] + [(at + 0.01 - 1e-9, -1) for at, _ in began]
    most = now = 0
    for _, change in sorted(ends):
        now += change
        most = max(most, now)
    return most


def test_a_service_runs_no_more_at_once_than_it_says() -> None:
    service = Service("flow", concurrency=5)
    for name in ("one", "two", "three"):
        service.on(Task, name=name)(_working(name))

    async def scene(sim: Sim) -> None:
        for n in range(20):
            await sim.emit(Task(str(n)))
        await sim.settle()
        assert len(began) == 60
        assert _most_at_once() == 5
        check_settled(sim)

    played(App(service), scene)


def _working(name: str) -> Any:
    async def handler(e: Task) -> None:
        await work(f"{name} {e.id}")

    return handler


def test_nobody_waits_while_a_place_is_free() -> None:
    """Two minutes' wait although a worker is free: https://github.com/inngest/inngest-py/issues/351."""

    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "a", 200))
        await sim.settle()
        times = [at for at, _ in began]
        assert max(times) - min(times) <= (200 / 4) * 0.01 + 0.01
        await sim.advance("2m")
        before = sim.world.loop.time()
        await sim.emit(Task("late"))
        await sim.settle()
        at = begun("late")
        assert at is not None
        assert at - before < 0.01

    played(tasks(concurrency=4), scene)


def test_twenty_events_of_one_key_keep_their_order_at_concurrency_1() -> None:
    """In a random order elsewhere: https://github.com/inngest/inngest/issues/3050."""

    async def scene(sim: Sim) -> None:
        for n in range(20):
            await sim.emit(Task("a", str(n)))
        for n in range(20):
            await sim.emit(Task(f"{n:02}"))
        await sim.settle()
        assert [name for _, name in began if name != "a"] == [f"{n:02}" for n in range(20)]

    played(tasks(concurrency=1), scene)


# Fairness.


@pytest.mark.parametrize("places", [1, 4])
def test_a_backlog_of_one_tenant_does_not_delay_another(places: int) -> None:
    app = _fair(places, fair_by="tenant")

    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "big", BACKLOG))
        await run_for(sim, 0.5)
        before = sim.world.loop.time()
        for tenant in ("b", "c", "d"):
            await sim.emit(Task(tenant, tenant))
        await run_for(sim, 1)
        late = {tenant: (begun(tenant) or 1e9) - before for tenant in ("b", "c", "d")}
        assert max(late.values()) <= 0.02 * 4, late  # four tenants compete
        assert 0 < len(began) < 1000

    played(app, scene)


def _fair(places: int, **options: Any) -> App:
    service = Service("flow")

    @service.on(Many)
    async def many(e: Many) -> list[Task]:
        return [Task(f"{e.tenant}-{n}", e.tenant) for n in range(e.count)]

    @service.on(Task, concurrency=places, **options)
    async def run(e: Task) -> None:
        await work(e.id)

    return App(service)


def test_a_queue_without_fairness_fails_the_same_test() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "big", 1000))
        await run_for(sim, 0.5)
        await sim.emit(Task("b", "b"))
        await run_for(sim, 1)
        assert begun("b") is None

    played(_fair(1), scene)


@pytest.mark.parametrize(("backlog", "restarts"), [(10_000, 0), (BACKLOG, 1)])
def test_many_tenants_with_a_backlog_each_do_not_delay_a_new_one(backlog: int, restarts: int) -> None:
    """Each of 50 has as much waiting, in the middle of which the node dies, or not."""
    tenants = 50

    async def scene(sim: Sim) -> None:
        for n in range(tenants):
            await sim.emit(Many(f"m{n}", f"t{n}", backlog // tenants))
        await run_for(sim, 1)
        for _ in range(restarts):
            await sim.restart()
            await run_for(sim, 1)
        before, ran = sim.world.loop.time(), len(began)
        await sim.emit(Task("new", "new"))
        await run_for(sim, 2)
        assert (begun("new") or 1e9) - before <= 0.02 * (tenants + 1)
        turns = Counter(name.partition("-")[0] for _, name in began[ran + 1 :])
        assert max(turns.values()) - min(turns[f"t{n}"] for n in range(tenants)) <= 2

    played(_fair(1, fair_by="tenant"), scene)


def test_fairness_holds_after_a_restart_in_the_middle_of_the_backlog() -> None:
    async def scene(sim: Sim) -> None:
        await sim.emit(Many("m", "big", BACKLOG))
        await run_for(sim, 0.5)
        await sim.emit(Task("a", "a"))
        ran = len(began)
        await sim.restart()
        before = sim.world.loop.time()
        for tenant in ("b", "c"):
            await sim.emit(Task(tenant, tenant))
        await run_for(sim, 1)
        late = {tenant: (begun(tenant) or 1e9) - before for tenant in ("a", "b", "c")}
        assert max(late.values()) <= 0.02 * 4, late  # one was in the store, two are new
        assert 20 < ran < len(began) < 1000

    played(_fair(4, fair_by="tenant"), scene)


def test_fairness_holds_after_a_restart_with_the_backlog_in_the_store() -> None:
    async def scene(sim: Sim) -> None:
        await sim.pause("flow.run")
        await sim.emit(Many("m", "big", 5000))
        for tenant in ("b", "c", "d"):
            await sim.emit(Task(tenant, tenant))
        await sim.settle()
        assert began == []
        await sim.restart()
        assert began == []
        before = sim.world.loop.time()
        await sim.resume("flow.run")
        await run_for(sim, 1)
        assert max((begun(tenant) or 1e9) - before for tenant in ("b", "c", "d")) <= 0.02 * 4

    played(_fair(1, fair_by="tenant"), scene)


# Priority.


def test_a_higher_priority_goes_first_and_a_lower_one_does_not_starve() -> None:
    async def scene(sim: Sim) -> None:
        await sim.pause("flow.run")
        for n in range(100):
            await sim.emit(Task(f"high{n}", urgency=9))
        for n in range(3):
            await sim.emit(Task(f"low{n}", urgency=0))
        await sim.resume("flow.run")
        await sim.settle()
        order = [name for _, name in began]
        assert all(name.startswith("high") for name in order[:16])
        assert order.index("low0") <= 17
        assert order.index("low2") <= 3 * 17
        check_settled(sim)

    played(_fair(1, priority="urgency"), scene)


def test_handlers_of_one_service_go_by_their_priority() -> None:
    service = Service("flow", concurrency=1)

    @service.on(Task, priority=1)
    async def slow(e: Task) -> None:
        await work(f"slow {e.id}")

    @service.on(Task, priority=8)
    async def soon(e: Task) -> None:
        await work(f"soon {e.id}")

    async def scene(sim: Sim) -> None:
        await sim.pause("flow")
        for n in range(10):
            await sim.emit(Task(str(n)))
        await sim.resume("flow")
        await sim.settle()
        order = [name.split()[0] for _, name in began]
        assert order[1:10] == ["soon"] * 9
        assert order.count("slow") == 10

    played(App(service), scene)


# Retry budgets.


def test_an_outage_does_not_become_a_storm() -> None:
    attempts: list[float] = []

    @step(retry=Retry(1000, first="100ms", most="1s"))
    async def call(id: str) -> None:
        now = asyncio.get_running_loop().time()
        attempts.append(now)
        if now < 20:
            raise ConnectionError("no line")

    def app(**options: Any) -> App:
        service = Service("flow")

        @service.on(Many)
        async def many(e: Many) -> list[Task]:
            return [Task(f"{e.tenant}-{n}") for n in range(e.count)]

        @service.on(Task, **options)
        async def run(e: Task) -> None:
            await call(e.id)

        return App(service)

    async def outage(sim: Sim) -> None:
        attempts.clear()
        await sim.emit(Many("m", "a", 100))
        await run_for(sim, 20)
        assert len(sim.world.node.dispatcher.running) == 0

    played(app(), outage)
    assert len(attempts) > 2_000  # the storm

    async def within_budget(sim: Sim) -> None:
        await outage(sim)
        assert len(attempts) <= 100 * 1.2 + 10 * 20 + 20
        await sim.settle()
        check_settled(sim)

    played(app(retry_budget=0.2), within_budget)

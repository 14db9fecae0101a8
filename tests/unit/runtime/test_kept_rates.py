"""Notes of slow rates: what a restart finds, how many there are, and what none is made for."""

from tests.scenario.flow_scenes import Task, began, played, run_for, work

from onstage import App, Service
from onstage.core.commit import Note
from onstage.runtime.kept_rates import kept_rate
from onstage.testing import Sim


def limited(**options: str) -> App:
    service = Service("flow")

    @service.on(Task, name="run", **options)  # type: ignore[arg-type]
    async def run(e: Task) -> None:
        await work(e.id)

    return App(service)


def notes(sim: Sim, topic: str) -> list[Note]:
    return sim.read(lambda reader: reader.notes(topic))


def test_a_rate_leaves_one_note_and_one_for_each_key_that_is_not_due_again() -> None:
    async def scene(sim: Sim) -> None:
        for n in range(40):
            await sim.emit(Task(f"{n % 4}", str(n)))
            await run_for(sim, 1)
        assert len(notes(sim, "rate flow.run")) == 1
        kept = notes(sim, "rate flow.run per key")
        assert 0 < len(kept) <= 4
        assert [note.number for note in kept] == sorted({note.number for note in kept})

    played(limited(rate="30/m", rate_per_key="10/m"), scene)


def test_a_fast_rate_leaves_none() -> None:
    async def scene(sim: Sim) -> None:
        for n in range(10):
            await sim.emit(Task(str(n)))
        await sim.settle()
        assert len(began) == 10
        assert notes(sim, "rate flow.run") == notes(sim, "rate flow.run per key") == []

    played(limited(rate="100/s", rate_per_key="2/s"), scene)
    assert kept_rate(None, "any", None, lambda *_: None) is None  # type: ignore[arg-type]


def test_a_note_from_a_clock_that_went_ahead_costs_one_interval() -> None:
    async def scene(sim: Sim) -> None:
        told, ahead_ms = sim.clock.now_ms, [10 * 3_600_000]
        sim.clock.now_ms = lambda: told() + ahead_ms[0]  # type: ignore[method-assign]
        await sim.emit(Task("a"))
        await run_for(sim, 1)
        ahead_ms[0] = 0
        await sim.restart()
        await sim.emit(Task("b"))
        before = sim.world.loop.time()
        await run_for(sim, 120)
        assert [name for _, name in began] == ["a", "b"]
        assert began[1][0] - before <= 60.1

    played(limited(rate="1/m"), scene)

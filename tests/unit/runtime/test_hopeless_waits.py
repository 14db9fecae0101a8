"""Hopeless waits in the engine: random processes, each with a script that it brings along, and kills now and then."""

from dataclasses import dataclass
from random import Random  # noqa: TID251  # seeded

from tests.scenario.hopeless_scenes import Placed, shop
from tests.scenario.played_scene import scene

from onstage import App, Process, Service, emit, event, sleep, wait
from onstage.errors import WillNeverHappen
from onstage.testing import Sim

PROCESSES = 600


@event("r.begun", key="id")
@dataclass(frozen=True)
class Begun:
    id: str
    script: str


@event("r.left", key="id")
@dataclass(frozen=True)
class Left:
    id: str
    script: str


@event("r.right", key="id")
@dataclass(frozen=True)
class Right:
    id: str
    script: str


@event("r.wanted", key="id")
@dataclass(frozen=True)
class Wanted:
    id: str


@event("r.over", key="id")
@dataclass(frozen=True)
class Over:
    id: str
    how: str


random_service = Service("random")


async def go_on(id: str, script: str) -> list[Left | Right | Wanted]:
    """Do what the first letter says, and leave the others to whom it leads to."""
    first, rest = script[:1], script[1:]
    if first == "s":
        await sleep("10s")
        first, rest = rest[:1], rest[1:]
    match first:
        case "l":
            return [Left(id, rest)]
        case "r":
            return [Right(id, rest)]
        case "b":
            return [Left(id, rest), Right(id, "")]
        case "w":
            return [Wanted(id)]
        case _:
            return []


@random_service.on(Begun)
async def begin(e: Begun) -> list[Left | Right | Wanted]:
    """Begins."""
    return await go_on(e.id, e.script)


@random_service.on(Left)
async def left(e: Left) -> list[Left | Right | Wanted]:
    """May lead anywhere."""
    return await go_on(e.id, e.script)


@random_service.on(Right)
async def right(e: Right) -> list[Wanted]:
    """May only lead to the end."""
    if e.script.startswith("d"):
        await emit(Wanted(e.id), after="20s")
        return []
    return [Wanted(e.id)] if e.script.startswith("w") else []


@random_service.on(Begun)
async def want(e: Begun) -> Over:
    """Waits for it."""
    try:
        await wait(Wanted)
    except WillNeverHappen:
        return Over(e.id, "never")
    return Over(e.id, "came")


app = App(random_service, Process("random", starts=Begun, done=Over))


async def play(seed: int, count: int) -> tuple[dict[str, str], set[str], list[str]]:
    """What each waiter was told, what came, and what is still open."""
    random = Random(seed)
    async with Sim(app, seed=seed) as sim:
        for number in range(count):
            await sim.emit(Begun(f"p{number}", "".join(random.choices("lrbswd", k=random.randint(0, 6)))))
            if random.random() < 0.1:
                await sim.restart()
            await sim.advance(random.choice([0, 0.5, 5]))
        await sim.advance("1h")
        told = {over.id: over.how for over in sim.emitted(Over)}
        came = {wanted.id for wanted in sim.emitted(Wanted)}
        return told, came, [f"p{number}" for number in range(count) if sim.outcome(f"p{number}") is None]


@scene
async def test_no_wait_fails_that_could_have_ended_and_none_is_left() -> None:
    told, came, left_open = await play(3, PROCESSES)
    assert left_open == []
    assert len(told) == PROCESSES
    assert {name for name, how in told.items() if how == "came"} == came
    assert 0 < len(came) < PROCESSES


@scene
async def test_nothing_looks_where_no_wait_can_be_hopeless() -> None:
    quiet = Service("quiet")

    @quiet.on(Begun)
    async def outside(e: Begun) -> Over:
        await wait(Wanted)
        return Over(e.id, "came")

    async with Sim(App(quiet, Process("random", starts=Begun, done=Over))) as sim:
        assert sim._world.node.hopeless is None  # noqa: SLF001 - that nothing runs is not to be seen from outside
    async with Sim(shop) as sim:
        await sim.emit(Placed("o1", "approve"))
        await sim.settle()
        hopeless = sim._world.node.hopeless  # noqa: SLF001
        assert hopeless is not None
        assert not hopeless.is_behind

"""Random trees of branches on the real engine: steps fail, a node dies anywhere; nothing is lost or done twice."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from random import Random

import pytest
from tests.scenario.branch_scenes import Asked, Told, act, app_of, book, count, effects, told

from onstage import App, Reject, gather, race, sleep, spawn
from onstage.durable import scope
from onstage.testing import Sim

DEPTH_MAX = 3


async def branch(chance: Random, label: str, depth: int) -> list[str]:
    """What a branch does is drawn from its own sequence, the same on every replay; answers what it has come to."""
    done: list[str] = []
    for place in range(chance.randint(1, 3)):
        here = f"{label}.{place}"
        match chance.choice(["act", "act", "sleep", "gather", "spawn", "race", "scope"] if depth else ["act", "sleep"]):
            case "act":
                done.append(await act(here))
            case "sleep":
                await sleep(chance.randint(0, 300))
            case "gather":
                for each in await gather(*inner(chance, here, depth)):
                    done += each
            case "spawn":
                beside = [spawn(each) for each in inner(chance, here, depth)]
                done.append(await act(here))
                for spawned in beside:
                    done += await spawned
            case "race":
                done.append(await race(act(here), never()))
            case "scope":
                done += await given_up(chance, here, depth)
    return done


def inner(chance: Random, label: str, depth: int) -> list[Awaitable[list[str]]]:
    seeds = [chance.randrange(2**30) for _ in range(chance.randint(1, 3))]
    return [branch(Random(seed), f"{label}/{number}", depth - 1) for number, seed in enumerate(seeds)]


async def never() -> str:
    await sleep("300d")
    return "never"


async def given_up(chance: Random, label: str, depth: int) -> list[str]:
    async with scope("part") as part:
        await gather(*inner(chance, label, depth))
        await book(f"{label} booked")
        raise Reject("no")
    assert part.rejected is not None
    return [f"{label} given up"]


def app(seed: int) -> App:
    async def handler(e: Asked) -> Told:
        return Told(e.key, " ".join(await branch(Random(seed), "", DEPTH_MAX)))

    return app_of(handler)


async def play(seed: int, *, kills_at: set[tuple[int, str]]) -> tuple[list[str], Counter[str], list[tuple[int, str]]]:
    effects.clear()
    async with Sim(app(seed), seed=seed) as sim:
        sim.fail(act, ConnectionError("down"), times=2)
        sim.world.kills_at = kills_at
        await sim.emit(Asked("a"))
        await sim.settle()
        await sim.advance("2d")
        assert sim.verdict("a").is_final, sim.history("a")
        return told(sim), count(), sim.world.boundaries


@pytest.mark.parametrize("seed", range(12))
def test_a_tree_of_branches_comes_to_the_same_wherever_the_node_dies(seed: int) -> None:
    """The labels of steps are their places in the code: a result at a wrong place shows in what is told."""

    async def main() -> None:
        result, undisturbed, boundaries = await play(seed, kills_at=set())
        assert len(result) == 1
        assert set(undisturbed.values()) <= {1}, "an effect has one key"
        points = [point for point in boundaries if point[1] in ("before", "after")]
        for point in Random(seed).sample(points, min(4, len(points))):
            again, effects_of_both, _ = await play(seed, kills_at={point})
            assert (again, effects_of_both) == (result, undisturbed), f"with a crash {point}"

    asyncio.run(main())

"""Processes are undone over a real server, while their services are killed: what the world outside saw of it."""

import asyncio
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest
from tests.apart import undone_app
from tests.apart.apart_app import SERVICES
from tests.apart.town import Town
from tests.apart.undone_app import BEFORE, Placed, app

from onstage import connect

ORDERS = 60
KILLS = 9
CALM_S_MAX = 120.0
LOOK_S = 0.2
ENDED = """
    select p.key, coalesce(w.state, 'completed') from onstage_process p left join onstage_wave w on w.process = p.id
    where p.ended is not null and coalesce(w.state, '') not in ('compensating', 'undecided')"""

Calls = dict[str, dict[str, list[tuple[int, str]]]]


@pytest.mark.timeout(300)  # about half a minute where nothing else runs
def test_what_was_done_is_undone_once_after_what_it_caused_whoever_is_killed(tmp_path: Path) -> None:
    town = Town(tmp_path, undone_app.__file__)
    asyncio.run(story(town))
    verdicts = dict(town.query("observer", ENDED))
    assert verdicts == {f"o{n}": "completed" if n % 3 == 2 else "compensated" for n in range(ORDERS)}
    done, undone = calls(town, "do"), calls(town, "undo")
    for n in range(ORDERS):
        key = f"o{n}"
        assert ("sorry" in done[key]) == (n % 3 == 0), key
        made = done[key].keys() - {"sorry"}
        assert made <= expected(n), key
        assert made >= (expected(n) if n % 3 == 2 else {"book", "cut"}), "what was not begun when it failed never began"
        every_undo_is_made_once_and_in_order(undone[key], set() if n % 3 == 2 else made)


async def story(town: Town) -> None:
    await town.open()
    try:
        killing = asyncio.get_running_loop().create_task(kill(town, Random(7)))
        async with connect(f"sqlite:///{town.store('desk')}", app) as client:
            for n in range(ORDERS):
                await client.emit(Placed(f"o{n}", n), id=f"order-{n}")
                await asyncio.sleep(0.15)
        await killing
        async with asyncio.timeout(CALM_S_MAX):
            while len(await asyncio.to_thread(town.query, "observer", ENDED)) < ORDERS:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)  # another process: nothing here could be told of it
    finally:
        await town.close()


async def kill(town: Town, random: Random) -> None:
    """Each service several times, in the midst of everything."""
    for n in range(KILLS):
        await asyncio.sleep(0.3 + random.random())
        name = SERVICES[n % len(SERVICES)]
        town.kill(name)
        await asyncio.sleep(random.choice((0.0, 0.5)))
        await town.start(name)


def expected(n: int) -> set[str]:
    """What is made of an order before it comes to its end."""
    stamped = {"grind"} if n % undone_app.STAMPED_EVERY == 0 else set()
    return {"book", "cut", "ink", *stamped, *({"squeeze"} if n % 3 else ())}


def calls(town: Town, wanted: str) -> Calls:
    """By order and by what it was: when it was called, and under which key."""
    found: Calls = defaultdict(lambda: defaultdict(list))
    for at, line in enumerate(town.effects.read_text().splitlines()):
        word, what, order, key = line.split()
        if word == wanted:
            found[order][what].append((at, key))
    return found


def every_undo_is_made_once_and_in_order(undone: dict[str, list[tuple[int, str]]], wanted: set[str]) -> None:
    assert undone.keys() == wanted
    assert {what: len({key for _, key in each}) for what, each in undone.items()} == dict.fromkeys(wanted, 1)
    for what, each in undone.items():
        last = max(at for at, _ in each)
        for cause in set(BEFORE.get(what, ())) & wanted:
            assert last < min(at for at, _ in undone[cause]), (what, cause)

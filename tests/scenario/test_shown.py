"""Each feature where a person looks for it: in `ps`, in `show`, in the lists, and the same with `-o json`."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner
from tests.scenario import shown_app as shop
from tests.scenario.flow_scenes import run_for

from onstage.cli.main import cli
from onstage.testing import Sim

WAYS = tuple(shop.WAYS)
IN_PS = {
    "delayed": "shown.late comes at 2026-01-01 01:00:00 UTC",
    "branches": "svc.begin waits for shown.yes until 2026-01-01 01:00:00 UTC",
    "spawned": "svc.begin sleeps until 2026-01-01 01:00:00 UTC",
    "scope": "svc.begin waits for shown.yes",
    "token": "svc.begin waits for sign to be completed from outside until 2026-01-02 00:00:00 UTC",
    "asking": "svc.begin waits for an answer from svc.price",
    "heartbeat": "no heartbeat for 30 s",
    "digging": 'dig said {"layer":7,"password":"•••"} at 2026-01-01 00:00:',
    "patched": "svc.begin waits for shown.yes",
    "limited": "svc.limited is ready (rate 1/3600s, fair by id)",
    "item": "svc.batch is ready (batch of 10, within 3600 s)",
    "edited": "svc.render is ready (debounce 3600 s, at latest after 7200 s)",
    "parent": "svc.parent waits for an answer from svc.child",
    "endless": "svc.endless waits for shown.yes",
    "paused": "svc.late is paused since 2026-01-01 00:00:",
    "outside": "shown.late comes at 2026-01-02 00:00:00 UTC",
}
IN_SHOW = {
    "delayed": ["onstage.later", "ready until 2026-01-01 01:00:00 UTC"],
    "branches": ["step note#1", "waiting for shown.yes until"],
    "spawned": ["step spawn#0/0/note"],
    "scope": ["step scope part#0/0/note"],
    "token": ["step sign is completed from outside, attempt 1"],
    "asking": ["ask shown.price, which #", "and no answer yet", "svc.price  waiting for shown.yes"],
    "heartbeat": ["dead letter", "no heartbeat for 30 s", "onstage dead retry"],
    "digging": ['step dig said {"layer":7,"password":"•••"} at 2026-01-01 00:00:', "UTC, attempt 1"],
    "patched": ["new-way: on the new side"],
    "keyed": ["svc.items", "3"],
    "large": ["svc.store  done", "xxxx"],
    "parent": ["start svc.child, which #", 'state stage = "packed"', "svc.child  waiting for shown.yes"],
    "cancelled": ["cancelled: ", "svc.child  cancelled"],
    "paused": ["svc.late  ready"],
    "edited": ["svc.render is ready (debounce 3600 s"],
    "expired": ["svc.late  skipped", "expired"],
}
IN_LISTS = {
    "services": ["rate 1/3600s, fair by id", "batch of 10", "debounce 3600 s", "by the test"],
    "timers": ["next run of 2h", "shown.late comes (`onstage timers cancel"],
    "schedules ls": ["svc.tick", "2026-01-01 02:00:00 UTC"],
    "waits": ["svc.begin", "for ever", "shown.yes"],
    "state ls": ["svc.items", "keyed"],
    "dead ls": ["heartbeat", "svc.begin"],
    "versions": ["svc.begin"],
}


async def look(sim: Sim, *command: str) -> str:
    """What a command says about the world's file, its lines unbroken; while the world goes on existing."""
    store = f"sqlite:///{sim.world.path}"
    result = await asyncio.to_thread(CliRunner().invoke, cli, [*command, "--store", store], env={"COLUMNS": "400"})
    return result.output


async def all_at_once(sim: Sim) -> None:
    for way in WAYS:
        await sim.emit(shop.Begun(way))
        if way == "heartbeat":
            await run_for(sim, 40)
    for number in range(2):
        await sim.emit(shop.Limited("limited" if number else "first"))
    await sim.emit(shop.Item("item"))
    await sim.emit(shop.Edited("edited"))
    await sim.emit(shop.Large("large", "x" * 3000))
    await sim.start(shop.parent, "p", id="parent")
    await sim.start(shop.endless, 0, id="endless")
    await sim.control("cancel", await sim.start(shop.parent, "c", id="cancelled"))
    await sim.emit(shop.Late("outside"), after="86360s")
    await sim.pause("svc.late")
    await sim.emit(shop.Late("paused"))
    await sim.emit(shop.Late("expired"), expires="1s")
    await run_for(sim, 2)


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What every command says, by the command."""
    found: dict[str, str] = {}

    async def play() -> None:
        async with Sim(shop.app, seed=3) as sim:
            await all_at_once(sim)
            for name in ("ps --limit 100", *IN_LISTS):
                found[name] = await look(sim, *name.split())
                found[f"{name} -o json"] = await look(sim, *name.split(), "-o", "json")
            for key in IN_SHOW:
                if key == "expired":
                    await sim.resume("svc.late")
                    await run_for(sim, 1)
                found[f"show {key}"] = await look(sim, "show", key)
                found[f"show {key} -o json"] = await look(sim, "show", key, "-o", "json")

    asyncio.run(play())
    return found


def test_ps_says_of_each_what_it_waits_for(said: dict[str, str]) -> None:
    rows = {line.split()[0]: line for line in said["ps --limit 100"].splitlines() if line}
    as_json = {row["key"]: row for row in json.loads(said["ps --limit 100 -o json"])}
    for key, text in IN_PS.items():
        assert text in rows[key], rows[key]
        assert text in as_json[key]["now"], as_json[key]


@pytest.mark.parametrize("key", IN_SHOW)
def test_show_says_what_became_of_each(said: dict[str, str], key: str) -> None:
    for text in IN_SHOW[key]:
        assert text in said[f"show {key}"], said[f"show {key}"]
    told: Any = json.loads(said[f"show {key} -o json"])
    assert told["key"] == key
    assert told["events"]
    if key == "digging":
        beat = told["events"][0]["executions"][0]["heartbeats"][0]
        assert (beat["step"], beat["attempt"], beat["said"]["layer"]) == ("dig", 1, 7)


@pytest.mark.parametrize("command", IN_LISTS)
def test_the_lists_have_it_too(said: dict[str, str], command: str) -> None:
    for text in IN_LISTS[command]:
        assert text in said[command], said[command]
    assert json.loads(said[f"{command} -o json"])

"""Services apart, over a real server, through everything that happens to servers, lines and processes."""

import asyncio
import os
from collections import defaultdict
from pathlib import Path

import pytest
from tests.apart.apart_app import SPOILT_EVERY, Placed, app
from tests.apart.faults import FAULTS
from tests.apart.town import Feeder, Town

KEYS = 16
CALM_S_MAX = 180.0
LOOK_S = 0.2


@pytest.mark.timeout(900)  # about a minute where nothing else runs
def test_nothing_is_lost_or_doubled_whatever_happens(tmp_path: Path) -> None:
    town, feeder = Town(tmp_path), Feeder(KEYS)
    asyncio.run(story(town, feeder))
    everything_was_handled_once_and_in_order(town, feeder)
    every_effect_has_one_key(town, feeder)
    verdicts_say_what_the_numbers_say(town, feeder)
    verdicts_agree_with_those_of_one_store(town, feeder)
    an_observer_begun_anew_sees_the_same(town)
    assert "it is published again" in "".join(town.log(name) for name in ("desk", "mill", "press"))


async def story(town: Town, feeder: Feeder) -> None:
    await town.open()
    try:
        feeding = asyncio.get_running_loop().create_task(feeder.feed(town.store("desk")))
        await asyncio.sleep(1.0)
        for fault in FAULTS:
            await fault(town)
            await asyncio.sleep(1.0)
        feeder.stop()
        await feeding
        await calm(town, len(feeder.accepted))
        await again(town)
        await calm(town, len(feeder.accepted))
    finally:
        await town.close()


async def calm(town: Town, wanted: int) -> None:
    """Wait until the observer has seen all processes end."""
    async with asyncio.timeout(CALM_S_MAX):
        while await asyncio.to_thread(ended, town) < wanted:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)  # another process: nothing here could be told of it


async def again(town: Town) -> None:
    """Another observer, on a new file, beside a copy of what the first one saw."""
    town.kill("observer")
    town.store("observer").rename(town.store("first"))
    for path in town.folder.glob("observer.db-*"):
        path.rename(path.with_name(path.name.replace("observer", "first")))
    await town.start("observer")


def ended(town: Town) -> int:
    try:
        rows = town.query("observer", "select count(*) from onstage_process where ended is not null")
    except Exception:  # noqa: BLE001  it is not there yet
        return 0
    count: int = rows[0][0]
    return count


def everything_was_handled_once_and_in_order(town: Town, feeder: Feeder) -> None:
    accepted = sorted(feeder.accepted)
    milled = [(key, seq) for key, seq in accepted if seq % SPOILT_EVERY]
    for service, wanted in (("desk", accepted), ("mill", accepted), ("press", milled)):
        done = town.query(service, "select key, seq from done order by at")
        assert sorted(done) == wanted, service
        by_key: defaultdict[str, list[int]] = defaultdict(list)
        for key, seq in done:
            by_key[key].append(seq)
        assert [key for key, seqs in by_key.items() if seqs != sorted(seqs)] == [], service


def every_effect_has_one_key(town: Town, feeder: Feeder) -> None:
    keys: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for line in town.effects.read_text().splitlines():
        name, key, seq = line.split()
        keys[key, int(seq)].add(name)
    assert keys.keys() == feeder.accepted.keys()
    assert [place for place, names in keys.items() if len(names) != 1] == []


def verdicts_say_what_the_numbers_say(town: Town, feeder: Feeder) -> None:
    outcome = {key: "shop.pressed" if key[1] % SPOILT_EVERY else "shop.spoilt" for key in feeder.accepted}
    wanted = {process.id: outcome[key] for key, process in feeder.accepted.items()}
    rows = town.query("observer", "select wire_id, outcome, open, hex(digest) from onstage_process")
    assert {wire: said for wire, said, _, _ in rows} == wanted
    assert {(count, digest) for _, _, count, digest in rows} == {(0, "0" * 32)}


def verdicts_agree_with_those_of_one_store(town: Town, feeder: Feeder) -> None:
    """Order by order, for the same orders in one store that runs all services."""
    together = asyncio.run(played_together(town, feeder))
    apart = dict(town.query("observer", "select wire_id, outcome from onstage_process"))
    assert {key: apart[process.id] for key, process in feeder.accepted.items()} == together


async def played_together(town: Town, feeder: Feeder) -> dict[tuple[str, int], str | None]:
    os.environ["APART_EFFECTS"] = str(town.folder / "together.txt")
    async with app.run(f"sqlite:///{town.folder / 'together.db'}", synchronous="NORMAL") as stage:
        begun = {(key, seq): await stage.emit(Placed(key, seq)) for key, seq in sorted(feeder.accepted)}
        verdicts = await asyncio.gather(*(process.verdict(timeout=CALM_S_MAX) for process in begun.values()))
        return {key: verdict.outcome for key, verdict in zip(begun, verdicts, strict=True)}


def an_observer_begun_anew_sees_the_same(town: Town) -> None:
    processes = "select wire_id, declared, key, outcome, open, hex(digest), started from onstage_process order by 1"
    executions = """
        select json_extract(cast(e.extra as text), '$.wire'), h.name, x.status, x.segment, x.attempts
        from onstage_execution x join onstage_event e on e.n = x.id >> 16 join onstage_handler h on h.id = x.id & 65535
        order by 1, 2"""
    for sql in (processes, executions):
        assert town.query("observer", sql) == town.query("first", sql)

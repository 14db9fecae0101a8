"""Large payloads apart from their rows: the same promises wherever the node dies, with and without a codec."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from tests.scenario.aes_codec import Aes
from tests.scenario.sim_checks import check_settled
from tests.unit.stores.sqlite.blob_accounts import check_counts, named, rows

from onstage import App, Process, Reject, Service, connect, event, step, wait
from onstage.errors import InvalidEvent, UsageError
from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.ports.store import PAYLOAD_BYTES_MAX
from onstage.state import state
from onstage.testing import Sim

ABOVE = 1024
LARGE = "scan " * 400
PAGE = "page " * 600
KEY = bytes(32)


@event("archive.scanned", key="key")
@dataclass(frozen=True)
class Scanned:
    key: str
    body: str
    is_wanted: bool = True


@event("archive.checked", key="key")
@dataclass(frozen=True)
class Checked:
    key: str
    body: str


@event("archive.filed", key="key")
@dataclass(frozen=True)
class Filed:
    key: str
    bodies: tuple[str, ...]


archive = Service("archive")
undone: list[tuple[str, str]] = []


def burn(result: str, body: str) -> None:
    undone.append((result, body))


@step(undo=burn, retries=2)
def copy(body: str) -> str:
    return body.upper()


@archive.on(Scanned)
async def file(e: Scanned) -> Filed:
    kept = await state(str, key=e.key, name="body")
    kept.set(e.body)
    copied = await copy(e.body)
    checked = await wait(Checked)
    if not e.is_wanted:
        raise Reject("nobody wants it")
    earlier = kept.get("")
    kept.clear()
    return Filed(e.key, (copied, checked.body, earlier))


filing = Process("filing", starts=Scanned, done=Filed, external=[Checked])


def app(**options: Any) -> App:
    return App(archive, filing, offload_above=ABOVE, **options)


async def scene(sim: Sim, *, is_wanted: bool = True) -> None:
    undone.clear()
    await sim.emit(Scanned("k", LARGE, is_wanted), id="k")
    await sim.settle()
    await sim.emit(Checked("k", PAGE), id="c")
    await sim.settle()
    check_settled(sim)
    path = sim.world.path
    check_counts(path)
    assert len(named(path)) >= 4, "the events, the result and the arguments"
    rest = rows(path, "SELECT length(data) FROM onstage_event UNION SELECT length(body) FROM onstage_entry")
    assert max(size for (size,) in rest) < ABOVE


async def undo_scene(sim: Sim) -> None:
    await scene(sim, is_wanted=False)
    assert set(undone) == {(LARGE.upper(), LARGE)}


async def done_scene(sim: Sim) -> None:
    await scene(sim)
    assert [filed.bodies for filed in sim.emitted(Filed)] == [(LARGE.upper(), PAGE, LARGE)]


@pytest.mark.parametrize("codec", [None, Aes({"k1": KEY})], ids=["plain", "sealed"])
@pytest.mark.parametrize("play", [done_scene, undo_scene])
def test_replay_waits_and_undo_have_what_was_offloaded_wherever_the_node_dies(play: Any, codec: Aes | None) -> None:
    async def crashes() -> int:
        return await Sim(app(codec=codec), seed=1).every_crash(play)

    assert asyncio.run(crashes()) >= 8


def test_the_same_content_is_stored_once_unless_it_is_sealed() -> None:
    """A sealed payload is another each time, as it must be."""

    async def sizes(codec: Aes | None) -> list[int]:
        async with Sim(app(codec=codec), seed=1) as sim:
            await done_scene(sim)
            return [size for (size,) in rows(sim.world.path, "SELECT size FROM onstage_blob")]

    plain, sealed = asyncio.run(sizes(None)), asyncio.run(sizes(Aes({"k1": KEY})))
    assert sum(plain) < sum(sealed)
    assert len(plain) < len(sealed)


def test_a_large_event_is_read_by_a_client_and_by_the_command_line(tmp_path: Path) -> None:
    """By another OS process, which knows nothing of the app."""
    url, body = f"sqlite:///{tmp_path}/store.db", "x" * (2 * EVENT_BYTES_MAX)

    async def play() -> list[bytes]:
        async with app().run(url) as stage:
            process = await stage.emit(Scanned("k", body))
            await process.verdict(timeout=0.01)
            async with connect(url, app()) as client, client.reading() as reader:
                return [view.data for view in await reader.events()]

    (data,) = asyncio.run(play())
    assert body.encode() in data
    command = (sys.executable, "-m", "onstage.cli.main", "events", "show", "1", "-o", "json", "--store", url)
    shown = run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert body in shown.stdout


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
def test_how_large_an_event_may_be(store: str, tmp_path: Path) -> None:
    """More than without offloading, and no more than the limit that is named."""
    url = store if store == "memory:" else f"sqlite:///{tmp_path}/store.db"

    async def emit(made: App, size: int) -> None:
        async with made.run(url) as stage:
            await stage.emit(Scanned("k", "x" * size))

    with pytest.raises(InvalidEvent, match=str(EVENT_BYTES_MAX)):
        asyncio.run(emit(App(archive, filing), EVENT_BYTES_MAX))
    asyncio.run(emit(app(), EVENT_BYTES_MAX))
    with pytest.raises(InvalidEvent, match=str(PAYLOAD_BYTES_MAX)):
        asyncio.run(emit(app(), PAYLOAD_BYTES_MAX))


def test_a_threshold_that_costs_more_than_it_saves_is_refused() -> None:
    with pytest.raises(UsageError, match="offload_above=100"):
        App(archive, filing, offload_above=100)

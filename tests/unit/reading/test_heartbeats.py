"""What long steps said last is read from a store; what ended, or is sealed, is not shown."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.aes_codec import Aes

from onstage import App, Service, event, step
from onstage.durable import heartbeat
from onstage.reading import heartbeats
from onstage.reading.heartbeats import Heartbeat, heartbeats_in
from onstage.reading.store_file import looking_at


@event("beat.begun", key="id")
@dataclass(frozen=True)
class Begun:
    id: str


async def kept(path: Path, count: int = 3, **options: Any) -> list[Heartbeat]:
    """What is kept while so many steps run, as it is read from the file."""
    service, all_said, enough = Service("beats"), asyncio.Event(), asyncio.Event()

    @step(heartbeat_timeout="1h")
    async def tell(id: str) -> None:
        heartbeat({"of": id})
        if int(id) == count - 1:
            all_said.set()
        await enough.wait()

    @service.on(Begun)
    async def begin(e: Begun) -> None:
        await tell(e.id)

    async with App(service, **options).run(f"sqlite:///{path}") as stage:
        processes = [await stage.emit(Begun(str(n))) for n in range(count)]
        await all_said.wait()
        await stage.emit(Begun("-1"))  # its commit is behind those of the heartbeats
        with looking_at(path) as store:
            found = await heartbeats_in(store.reader)
        enough.set()
        for process in processes:
            assert (await process.verdict(timeout="10s")).is_final
        with looking_at(path) as store:
            left = await heartbeats_in(store.reader)
            assert len(left) <= 1, "those that have ended are forgotten"
    return [each for beats in found.values() for each in beats]


def test_the_last_heartbeat_of_each_step_is_read_from_the_file(tmp_path: Path) -> None:
    found = [beat for beat in asyncio.run(kept(tmp_path / "a.db")) if b"-1" not in bytes(beat.said)]
    assert sorted(bytes(beat.said) for beat in found) == [b'{"of":"0"}', b'{"of":"1"}', b'{"of":"2"}']
    assert {(beat.step, beat.attempt) for beat in found} == {("tell", 1)}
    assert str(found[0]).startswith('tell said {"of":"')
    assert str(found[0]).endswith(" UTC, attempt 1")


def test_no_more_are_looked_at_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "PAGE", 2)
    monkeypatch.setattr(heartbeats, "HEARTBEATS_MAX", 4)
    assert len(asyncio.run(kept(tmp_path / "a.db", 7))) == 4


def test_what_is_sealed_is_not_shown(tmp_path: Path) -> None:
    assert asyncio.run(kept(tmp_path / "a.db", codec=Aes({"k1": bytes(32)}))) == []

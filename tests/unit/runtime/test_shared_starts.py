"""A child that is started under an id which somebody outside uses too: on a node in memory and on a file."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.runtime.playhouse import Approved, playing

from onstage import Service, start, wait
from onstage.runtime.admission import start_door
from onstage.runtime.shared_starts import door_of
from onstage.state import state


def shop() -> Service:
    service = Service("shop")

    @service.workflow
    async def pack(parcels: dict[str, float]) -> float:
        state["parcels"] = len(parcels)
        if not parcels:
            await wait(Approved)
        return sum(parcels.values())

    @service.workflow
    async def fulfil(order: str) -> float:
        return await start(pack, {"a": 1}, id=order)

    return service


@pytest.mark.parametrize("is_file", [False, True], ids=["memory", "file"])
def test_a_start_from_outside_is_the_run_of_the_child(tmp_path: Path, is_file: bool) -> None:
    async def story() -> None:
        service = shop()
        pack, fulfil = service.handlers
        async with playing(service, on=tmp_path / "shop.db" if is_file else None) as house:
            parent = await house.stage.start(fulfil, "o1")
            assert await parent.result(timeout=5) == 1
            child = await house.stage.start(pack, {"a": 1.0}, id="o1")
            assert await child.result(timeout=5) == 1
            assert await child.state() == {"parcels": 1}
            assert (await child.verdict(timeout=5)).is_final
            assert (await house.events("onstage.start/shop.pack"))[0].process == int(parent.id.rpartition("-")[2])
            assert len(await house.events("onstage.start/shop.pack")) == 1
            with pytest.raises(LookupError):
                await house.stage.verdict_on(house.node.numbers.identity.wire(777), 0)

    asyncio.run(story())


def test_the_identity_is_of_the_input_as_its_annotation_reads_it() -> None:
    start = shop().handlers[0].triggers[0]
    assert door_of(start, "o1", b'{"a":1}') == door_of(start, "o1", b'{ "a": 1.0 }')
    assert door_of(start, "o1", b'{"a":1}') != door_of(start, "o1", b'{"a":2}')
    assert door_of(start, "o1", b"no json") == start_door("shop.pack", "o1", start.name, b"no json")

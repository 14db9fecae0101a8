"""Which processes go on: the owner knows it through restarts, and learns their end from observers."""

import asyncio
from typing import Any

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import Troupe, touring

from onstage.core.commit import Commit, NewProcess
from onstage.runtime.joinable import JOINABLE


def known(troupe: Troupe) -> Any:
    return troupe.nodes["shop"].admission._open  # noqa: SLF001


def test_a_process_with_nothing_open_at_its_owner_is_joinable_after_a_restart() -> None:
    async def story() -> None:
        async with touring("shop") as troupe:
            await troupe.emit("shop", Placed("o1"))
            await troupe.until(lambda: not troupe.nodes["shop"].open)
            await troupe.exchange("shop").joinable.look()
            assert ("order", "o1") in known(troupe), "the bank has its part still to do"
            await troupe.end("shop")
            await troupe.begin("shop")
            assert ("order", "o1") in known(troupe)

    asyncio.run(story())


def test_a_process_that_has_ended_everywhere_is_joined_no_more() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            await troupe.exchange("shop").joinable.look()
            assert known(troupe) == {}
            await troupe.end("shop")
            await troupe.begin("shop")
            assert known(troupe) == {}
            assert await troupe.nodes["shop"].store.reader.notes(JOINABLE) == []

    asyncio.run(story())


def test_without_an_observer_it_stays_joinable() -> None:
    async def story() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            assert troupe.observatory is not None
            await troupe.observatory.close()
            looking = asyncio.create_task(troupe.exchange("shop").joinable.look())
            await asyncio.wait([looking], timeout=0.1)
            looking.cancel()
            assert ("order", "o1") in known(troupe)

    asyncio.run(story())


def test_what_the_store_refused_is_not_asked_about() -> None:
    async def story() -> None:
        async with touring("shop") as troupe:
            await troupe.emit("shop", Placed("o1"))
            joinable = troupe.exchange("shop").joinable
            (process,) = joinable._known  # noqa: SLF001
            root = (await troupe.nodes["shop"].store.reader.processes())[0]
            assert root.id == process
            joinable.refused(Commit(roots=[NewProcess(process, "order", "o1", 0, root.wire_id)]))
            assert joinable._known == {}  # noqa: SLF001

    asyncio.run(story())

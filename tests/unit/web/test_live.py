"""What changes while somebody looks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from onstage.events.envelope import Envelope
from onstage.web import live as live_module
from onstage.web.live import Live, is_topic
from onstage.web.source import Source

Notices = AsyncIterator[tuple[int, str] | None]


async def notice(notices: Notices) -> tuple[int, str]:
    async with asyncio.timeout(10):
        found = await anext(notices)
    assert found is not None
    return found


async def place(tiny: Any, stage: Any, key: str) -> None:
    data = f'{{"order_id": "{key}", "amount": 5}}'.encode()
    process = await stage.emit_envelope(Envelope(id=key, source="//test", type="order-placed", data=data))
    await process.verdict(timeout=10)


def test_a_topic_is_told_when_it_changed_and_only_then(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000))

    async def story() -> None:
        source = Source(Path(tiny.store))
        live = Live(source)
        lists, other = live.listen(["processes"]), live.listen(["process/o2"])
        first, of_other = await notice(lists), await notice(other)
        assert (first[1], of_other[1]) == ("processes", "process/o2")
        async with tiny.app().run(f"sqlite:///{tiny.store}") as stage:
            await place(tiny, stage, "o3")
            told = await notice(lists)
            assert told[0] > first[0]
            silent = asyncio.ensure_future(anext(other))
            done, _ = await asyncio.wait([silent], timeout=1)
            assert not done, "o2 has not changed"
            silent.cancel()
            await asyncio.wait([silent])
        await lists.aclose()
        await live.close()
        source.close()

    asyncio.run(story())


def test_whoever_is_silent_hears_that_the_server_is_there_however_busy_other_topics_are(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "HEARTBEAT_S", 0.5)
    tiny.play(("o1", 5))

    async def story() -> None:
        source = Source(Path(tiny.store))
        live = Live(source)
        lists, other = live.listen(["processes"]), live.listen(["process/o1"])
        await notice(lists)
        await notice(other)
        silent = asyncio.ensure_future(anext(other))
        for n in range(50):
            live._tell(("processes", "process/o1"), {"processes": n})  # noqa: SLF001  as if the store were busy
            assert (await notice(lists))[1] == "processes"
            if silent.done():
                break
            await asyncio.sleep(0.1)
        assert silent.done()
        assert silent.result() is None
        for each in (lists, other):
            await each.aclose()
        await live.close()
        source.close()

    asyncio.run(story())


def test_who_comes_back_is_told_what_they_missed(tiny: Any) -> None:
    tiny.play(("o1", 5))

    async def story() -> None:
        source = Source(Path(tiny.store))
        live = Live(source)
        stays, goes = live.listen(["processes"]), live.listen(["processes"])
        await notice(stays)
        last, _ = await notice(goes)
        await goes.aclose()
        async with tiny.app().run(f"sqlite:///{tiny.store}") as stage:
            await place(tiny, stage, "o2")
            missed, _ = await notice(stays)
            again = live.listen(["processes"], last)
            assert (await notice(again))[0] >= missed > last
        for each in (stays, again):
            await each.aclose()
        await live.close()
        source.close()

    asyncio.run(story())


def test_topics_are_known() -> None:
    assert [is_topic(text) for text in ("attention", "process/p-1", "process/", "secrets", "mark")] == [
        True,
        True,
        False,
        False,
        False,
    ]

"""Which services run, as an observer finds out: by asking, with patience, and never from the broker's silence."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import PATIENCE_S, Placed
from tests.unit.runtime.test_tidings import HeardPlay
from tests.unit.runtime.troupe import Troupe, touring

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.contracts.manifest import HandlerManifest
from onstage.contracts.topology import Topology
from onstage.errors import BrokerUnavailable
from onstage.runtime import presence
from onstage.runtime.presence import AWAY_S, Presence, be_present, presence_subject


class _Registry:
    current = Topology(
        handlers=tuple(
            HandlerManifest(name=name, service=name.partition(".")[0], triggers=()) for name in ("a.x", "a.y", "b.z")
        )
    )


async def asked(broker: EmbeddedBroker, *, later_s: float = 0.0) -> frozenset[str]:
    """What is missing after one look, and a second one so much later."""
    changes: list[None] = []
    present = Presence(broker, _Registry(), lambda: changes.append(None))  # type: ignore[arg-type]
    await present.look()
    if later_s:
        loop, before = asyncio.get_running_loop(), asyncio.get_running_loop().time
        loop.time = lambda: before() + later_s  # type: ignore[method-assign]
        await present.look()
        loop.time = before  # type: ignore[method-assign]
    assert bool(changes) == bool(present.missing)
    return present.missing


def test_who_answers_says_what_it_runs_and_who_is_silent_has_time() -> None:
    async def story() -> None:
        broker = EmbeddedBroker(EmbeddedLog())
        await broker.open()
        await be_present(broker, ["a.x", "c.w"], ["a"])
        assert await asked(broker) == {"a.y"}
        assert await asked(broker, later_s=AWAY_S - 1) == {"a.y"}
        assert await asked(broker, later_s=AWAY_S + 1) == {"a.y", "b.z"}
        assert await broker.ask(presence_subject("onstage", "a"), b"", timeout_s=1) == b'["a.x"]'

    asyncio.run(story())


def test_nothing_is_concluded_while_the_broker_is_away() -> None:
    async def story() -> None:
        log = EmbeddedLog()
        broker = EmbeddedBroker(log)
        await broker.open()
        log.leave()
        with pytest.raises(BrokerUnavailable):
            await asked(broker, later_s=AWAY_S + 1)

    asyncio.run(story())


def test_what_answers_and_is_no_node_is_nobody() -> None:
    async def story() -> None:
        broker = EmbeddedBroker(EmbeddedLog())
        await broker.open()

        async def strange(_: bytes) -> bytes:
            return b"hello"

        await broker.serve(presence_subject("onstage", "a"), strange)
        await be_present(broker, ["b.z"], ["b"])
        assert await asked(broker) == frozenset()

    asyncio.run(story())


async def status(troupe: Troupe, process: str) -> str:
    assert troupe.observatory is not None
    return str(await troupe.observatory.verdict(process, 0))


def test_a_process_whose_service_is_gone_is_stuck_and_is_told_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "LOOK_S", 0.05)
    monkeypatch.setattr(presence, "AWAY_S", 0.3)

    async def story() -> None:
        play = HeardPlay()
        async with touring(play=play) as troupe:
            await troupe.end("bank")
            process = await troupe.emit("shop", Placed("o1"))
            await troupe.until(lambda: bool(play.heard))
            assert await status(troupe, process) == "stuck: bank.take: no live node has this handler"
            assert play.heard == [("audit", "ProcessStuck", "o1", 1)]
            await troupe.begin("bank")
            assert (await troupe.verdict(process)).outcome == "shop.paid"
            await troupe.until(lambda: len(play.heard) == 3)
            assert sorted(play.heard)[1:] == [
                ("audit", "ProcessStuck", "o1", 1), ("post", "ProcessCompleted", "o1", 2),
            ]  # fmt: skip
            async with asyncio.timeout(PATIENCE_S):
                while (await troupe.watching.reader.progress([1]))[0].state != "completed":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(story())

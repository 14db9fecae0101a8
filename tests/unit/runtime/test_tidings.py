"""Changes of verdict where services run apart: an observer finds them, and a handler elsewhere hears each once."""

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.runtime.playhouse import PATIENCE_S, Clock, Placed
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import Service
from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.contracts.manifest import HandlerManifest
from onstage.contracts.topology import Topology
from onstage.core.commit import Commit
from onstage.ports.store import Declaration
from onstage.runtime import tidings
from onstage.runtime.observatory import Observatory
from onstage.runtime.registry import EPOCHS_BEGAN_MS
from onstage.runtime.tidings import TIDINGS, TIDINGS_KEPT_MAX, Tiding, Tidings, are_heard
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers
from onstage.verdicts import ProcessCompleted, ProcessDeadEnd, ProcessStuck


class HeardPlay(Play):
    """The play, with two services that hear what becomes of its processes."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str, str, int]] = []

        @self.audit.on(ProcessCompleted, ProcessDeadEnd, ProcessStuck)
        async def hear(e: ProcessCompleted | ProcessDeadEnd | ProcessStuck) -> None:
            self.heard.append(("audit", type(e).__name__, e.key or "", e.number))

        @self.post.on(ProcessCompleted)
        async def file(e: ProcessCompleted) -> None:
            self.heard.append(("post", type(e).__name__, e.key or "", e.number))

    @property
    def services(self) -> tuple[Service, ...]:
        return (*super().services, self.audit)


async def until_heard(troupe: Troupe, play: HeardPlay, wanted: set[tuple[str, str, str, int]]) -> None:
    await troupe.until(lambda: wanted <= set(play.heard))
    await asyncio.sleep(0.2)  # what would now still come is told twice
    assert sorted(play.heard) == sorted(wanted)


async def another_observer(troupe: Troupe) -> tuple[Observatory, MemoryStore]:
    """One that reads the log from its beginning, into a store of its own, until it has nothing more to tell."""
    store = MemoryStore(clock=troupe.clock, workers=InlineWorkers())
    other = Observatory(EmbeddedBroker(troupe.log), lambda: store, troupe.clock)
    await other.start()
    assert other.tidings is not None
    async with asyncio.timeout(PATIENCE_S):
        while other.counts[0] == 0 or other.monitor is None or other.monitor.is_behind:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while await store.reader.notes(TIDINGS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return other, store


def test_a_handler_elsewhere_hears_of_each_change_once_whoever_watches() -> None:
    async def story() -> None:
        play = HeardPlay()
        async with touring(play=play) as troupe:
            for n in range(3):
                await troupe.verdict(await troupe.emit("shop", Placed(f"o{n}")))
            wanted = {(who, "ProcessCompleted", f"o{n}", 1) for who in ("audit", "post") for n in range(3)}
            await until_heard(troupe, play, wanted)
            other, _ = await another_observer(troupe)
            await troupe.verdict(await troupe.emit("shop", Placed("o3")))
            wanted |= {(who, "ProcessCompleted", "o3", 1) for who in ("audit", "post")}
            await until_heard(troupe, play, wanted)
            await other.close()

    asyncio.run(story())


def test_what_was_told_is_not_sent_again_by_an_observer_that_begins_anew() -> None:
    async def story() -> None:
        play = HeardPlay()
        async with touring(play=play) as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            await troupe.until(lambda: len(play.heard) == 2)

            async def is_settled() -> bool:
                return not await troupe.watching.reader.notes(TIDINGS)

            async with asyncio.timeout(PATIENCE_S):
                while not await is_settled():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            sent = len(troupe.messages("ctl."))
            other, _ = await another_observer(troupe)
            await other.close()
            assert len(troupe.messages("ctl.")) == sent

    asyncio.run(story())


def test_it_is_kept_until_the_service_that_hears_it_is_there() -> None:
    async def story() -> None:
        play = HeardPlay()
        async with touring(play=play) as troupe:
            await troupe.end("audit")  # the one that is told, of two that have heard as long
            process = await troupe.emit("shop", Placed("o1", -1))
            assert (await troupe.verdict(process)).outcome == "shop.refused"
            await troupe.until(lambda: bool(troupe.messages("ctl.")))
            assert play.heard == []
            await troupe.begin("audit")
            wanted = {(who, "ProcessCompleted", "o1", 1) for who in ("audit", "post")}
            await until_heard(troupe, play, wanted)

    asyncio.run(story())


def test_what_the_log_loses_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidings, "AGAIN_S", 0.1)

    async def story() -> None:
        play = HeardPlay()
        async with touring(play=play) as troupe:
            await troupe.end("audit")
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            await troupe.until(lambda: bool(troupe.messages("ctl.")))
            for message in troupe.messages("ctl."):
                troupe.log.drop(message.seq)
            await troupe.begin("audit")
            await until_heard(troupe, play, {(who, "ProcessCompleted", "o1", 1) for who in ("audit", "post")})

    asyncio.run(story())


CHANGE = Tiding("onstage.process.stuck", "p/stuck/1", EPOCHS_BEGAN_MS + 5_000_000, b"{}")


def _hearing(name: str, *triggers: str) -> HandlerManifest:
    return HandlerManifest(name=f"{name}.hear", service=name, triggers=triggers, gating=False)


def test_only_handlers_of_such_events_hear_them() -> None:
    assert not are_heard([Topology(), Topology(handlers=(_hearing("a", "shop.paid"),))])
    assert are_heard([Topology(), Topology(handlers=(_hearing("a", "onstage.process.stuck"),))])
    pattern = HandlerManifest(name="a.hear", service="a", triggers=("onstage.process.>",), pattern=True, gating=False)
    assert are_heard([Topology(handlers=(pattern,))])


class _Registry:
    """Knows one topology, and when each handler came."""

    def __init__(self, born: dict[str, int]) -> None:
        handlers = tuple(_hearing(name, "onstage.process.stuck") for name in born)
        self.current = Topology(epoch=max(born.values(), default=0), handlers=handlers)
        self._born = born

    def born(self, handler: str) -> int:
        return self._born[handler.partition(".")[0]]


def tidings_for(born: dict[str, int]) -> Tidings:
    return Tidings(EmbeddedBroker(EmbeddedLog()), _Registry(born), lambda: True)  # type: ignore[arg-type]


def test_nobody_is_told_what_was_before_or_is_not_heard() -> None:
    other = Tiding("onstage.process.completed", "p/completed/1", CHANGE.at, b"{}")

    async def story() -> None:
        async def told(born: dict[str, int], tiding: Tiding) -> int:
            return len(tidings_for(born).notes([tiding]).kept)

        assert [await told({"a": epoch}, CHANGE) for epoch in (7, 5_050, 5_061)] == [1, 1, 0]
        assert await told({"a": 7}, other) == await told({}, CHANGE) == 0

    asyncio.run(story())


async def told_service(born: dict[str, int], is_current: Callable[[], bool] = lambda: True) -> str:
    """The service to which a change is sent, once it is."""
    log, store = EmbeddedLog(), MemoryStore(clock=Clock(), workers=InlineWorkers())
    opened = await store.open(Declaration(types=(), handlers=(), outcomes={}, manifest=b""))
    store.on_batch = lambda _: None
    broker = EmbeddedBroker(log)
    await broker.open()
    waiting = Tidings(broker, _Registry(born), is_current)  # type: ignore[arg-type]
    await waiting.begin(store, opened.epoch)
    store.append(Commit(epoch=opened.epoch, notes=waiting.notes([CHANGE])))
    async with asyncio.timeout(PATIENCE_S):
        while not log.last:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await waiting.close()
    message = log.at(log.last)
    assert message is not None
    return message.subject.rpartition(".")[2]


def test_the_one_that_has_heard_the_longest_is_told() -> None:
    born = ({"b": 9, "a": 7}, {"a": 9, "b": 7}, {"b": 7, "a": 7})
    assert [asyncio.run(told_service(each)) for each in born] == list("aba")


def test_nothing_is_sent_before_the_log_was_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidings, "LOOK_S", 0.01)
    asked: list[int] = []

    def is_current() -> bool:
        asked.append(len(asked))
        return len(asked) > 3

    assert asyncio.run(told_service({"a": 7}, is_current)) == "a"
    assert len(asked) > 3


def test_too_many_that_nobody_takes_are_forgotten_from_the_oldest_on() -> None:
    async def story() -> None:
        waiting = tidings_for({"a": 7})
        assert len(waiting.notes([CHANGE] * TIDINGS_KEPT_MAX).kept) == TIDINGS_KEPT_MAX
        more = waiting.notes([CHANGE] * 3)
        assert ([note.number - TIDINGS_KEPT_MAX for note in more.kept], more.dropped) == (
            [1, 2, 3],
            [(TIDINGS, 1, 3)],
        )

    asyncio.run(story())

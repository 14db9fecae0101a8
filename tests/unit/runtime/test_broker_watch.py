"""A broker that is away, or goes away: it is tried until it answers, and each change is told once."""

import asyncio
from collections.abc import Callable

import pytest

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.errors import BrokerUnavailable, UsageError
from onstage.runtime.broker_watch import BrokerWatch, in_one_line, until_there

AWAY = "no server answers\n  why: the cable is cut\n  to do: mend it"


class Told(list[str | None]):
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self._come = asyncio.Event()

    def tell(self, trouble: str | None) -> None:
        self.append(trouble)
        self._come.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:
                self._come.clear()
                await self._come.wait()


def test_a_broker_that_is_away_at_first_is_told_once_and_tried_until_it_answers() -> None:
    async def story() -> None:
        log, told = EmbeddedLog(), Told()
        log.leave(AWAY)
        attempts = 0
        broker = EmbeddedBroker(log)
        really = broker.open

        async def counted() -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 3:
                log.come_back()
            await really()

        broker.open = counted  # type: ignore[method-assign]
        watch = BrokerWatch(broker, told.tell)
        await watch.open()
        await watch.close()
        assert attempts == 3
        assert told == [AWAY, None]

    asyncio.run(story())


def test_a_broker_that_goes_and_comes_is_told_once_each_way() -> None:
    async def story() -> None:
        log, told = EmbeddedLog(), Told()
        watch = BrokerWatch(EmbeddedBroker(log), told.tell)
        await watch.open()
        assert told == []
        log.leave(AWAY)
        await told.until(1)
        log.come_back()
        await told.until(2)
        await watch.close()
        assert told == [AWAY, None]

    asyncio.run(story())


class Refusing:
    """A broker that cannot keep the promises at the first attempts."""

    trouble: str | None = None

    def __init__(self, times: int) -> None:
        self.left = times

    async def open(self) -> None:
        self.left -= 1
        if self.left >= 0:
            raise UsageError(AWAY)


def test_a_broker_that_cannot_keep_the_promises_ends_the_start_but_not_a_node_that_runs() -> None:
    async def story() -> None:
        told = Told()
        with pytest.raises(UsageError):
            await BrokerWatch(Refusing(1), told.tell).open()  # type: ignore[arg-type]
        assert told == []
        watch = BrokerWatch(Refusing(1), told.tell)  # type: ignore[arg-type]
        await watch.open(at_any_rate=True)
        await watch.close()
        assert told == [AWAY, None]

    asyncio.run(story())


def test_without_anybody_to_tell_the_log_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    tell: Callable[[str | None], None] = BrokerWatch(EmbeddedBroker(EmbeddedLog())).tell
    tell(AWAY)
    tell(None)
    assert [record.getMessage() for record in caplog.records] == [
        "the broker is away: no server answers (the cable is cut); it is tried again until it answers",
        "the broker is back",
    ]


def test_a_trouble_fits_on_a_line() -> None:
    assert in_one_line(AWAY) == "no server answers (the cable is cut)"
    assert in_one_line("gone") == "gone"


def test_a_question_is_asked_until_the_broker_answers_and_any_other_error_ends_it() -> None:
    answers: list[str | Exception] = [BrokerUnavailable(AWAY), BrokerUnavailable(AWAY), "here", UsageError("no")]

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def story() -> None:
        assert await until_there(ask) == "here"
        with pytest.raises(UsageError, match="no"):
            await until_there(ask)

    asyncio.run(story())
    assert answers == []

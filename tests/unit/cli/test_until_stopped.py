"""Commands that run until they are told to stop."""

import asyncio
from pathlib import Path

import pytest

from onstage.cli.options import Surroundings
from onstage.cli.until_stopped import BrokerLines, shown_broker, started

AWAY = "no server\n  why: it is off\n  to do: start it"


def lines(*, is_json: bool = False) -> BrokerLines:
    return BrokerLines(Surroundings("memory:", None, is_json, Path()), kept="all is kept")


def test_before_it_is_ready_it_waits_and_says_nothing_when_the_broker_comes(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines()
    told.tell(AWAY)
    told.tell(None)
    assert (
        capsys.readouterr().err == "waiting for the broker: no server (it is off); it is tried again until it answers\n"
    )


def test_once_it_is_ready_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines()
    told.is_ready = True
    told.tell(AWAY)
    told.tell(None)
    assert capsys.readouterr().err.splitlines() == [
        "the broker is away: no server (it is off); all is kept",
        "the broker is back",
    ]


def test_json_has_an_object_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(is_json=True)
    told.tell(AWAY)
    told.tell(None)
    away, back = capsys.readouterr().out.splitlines()
    assert away == '{"broker":"away","why":"no server (it is off)"}'
    assert back == '{"broker":"back"}'


def test_a_start_that_takes_too_long_is_given_up_when_one_is_told_to_stop() -> None:
    async def story() -> None:
        stop, begun, undone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def for_ever() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                undone.set()

        task = asyncio.create_task(started(for_ever(), stop))
        await begun.wait()
        stop.set()
        assert await task is False
        assert undone.is_set()

    asyncio.run(story())


def test_a_start_that_fails_says_so() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async def story() -> None:
        assert await started(asyncio.sleep(0), asyncio.Event()) is True
        with pytest.raises(ValueError, match="no"):
            await started(fail(), asyncio.Event())

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://me:secret@a:1,b:2?namespace=x", "nats://a:1,b:2?namespace=x"),
        ("nats://token@a", "nats://a"),
        ("nats://a:4222", "nats://a:4222"),
    ],
)
def test_a_broker_is_shown_without_its_login(url: str, shown: str) -> None:
    assert shown_broker(url) == shown

"""Whoever waits is told once, is forgotten, and is let go when the node stops."""

import asyncio

import pytest

from onstage.errors import StoreUnavailable
from onstage.runtime.waiters import Waiters


def test_all_that_wait_for_a_number_are_told_and_nobody_else() -> None:
    async def story() -> None:
        waiters: Waiters[str] = Waiters()
        first, second, other = waiters.begin(1), waiters.begin(1), waiters.begin(2)
        second.cancel()
        waiters.tell(1, "done")
        waiters.tell(3, "unheard")
        assert first.result() == "done"
        assert second.cancelled()
        assert not other.done()
        assert 1 not in waiters
        assert 2 in waiters
        assert len(waiters) == 1

    asyncio.run(story())


def test_a_number_is_kept_for_as_long_as_somebody_waits_for_it() -> None:
    async def story() -> None:
        waiters: Waiters[str] = Waiters()
        first, second = waiters.begin(1), waiters.begin(1)
        waiters.forget(1, first)
        assert 1 in waiters
        waiters.forget(1, first)
        waiters.forget(1, second)
        waiters.forget(2, second)
        assert len(waiters) == 0
        waiters.tell(1, "late")
        assert not first.done()

    asyncio.run(story())


def test_closing_lets_everybody_go_and_nobody_begins_to_wait_after_it() -> None:
    async def story() -> None:
        waiters: Waiters[str] = Waiters()
        first, second = waiters.begin(1), waiters.begin(2)
        waiters.close()
        assert first.result() is second.result() is None
        assert len(waiters) == 0
        with pytest.raises(StoreUnavailable, match="the node was stopped"):
            waiters.begin(1)

    asyncio.run(story())

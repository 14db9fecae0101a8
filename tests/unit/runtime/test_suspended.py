"""Driving on what has suspended: results, failures and cancellations go where they belong, in its own context."""

import asyncio
from contextvars import ContextVar, copy_context
from types import SimpleNamespace
from typing import Any

import pytest

from onstage.runtime.suspended import Suspended

said: ContextVar[str] = ContextVar("said", default="nothing")


async def driven(work: Any) -> Any:
    """Begin a coroutine in a context of its own, and drive it to its end."""
    context, coroutine = copy_context(), work()
    first = context.run(coroutine.send, None)
    frame: Any = SimpleNamespace(active=1)
    return await Suspended(frame, coroutine, context, first)


def test_it_answers_what_the_coroutine_returns_and_keeps_its_context_apart() -> None:
    async def work() -> str:
        said.set("mine")
        await asyncio.sleep(0.001)
        return said.get()

    async def main() -> tuple[str, str]:
        return await driven(work), said.get()

    assert asyncio.run(main()) == ("mine", "nothing")


def test_it_raises_what_the_coroutine_raises() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        asyncio.run(driven(work))


def test_a_timeout_begun_before_the_suspension_ends_it_and_nothing_else() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"
        raise AssertionError

    assert asyncio.run(driven(work)) == "late"

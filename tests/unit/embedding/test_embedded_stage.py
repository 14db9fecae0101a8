"""Asking a stage where it lives, in the context of whoever asks."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any, cast

from onstage.embedding.embedded_stage import in_context_of_caller, on_its_loop

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Home:
    loop: asyncio.AbstractEventLoop | None = None


async def seen() -> tuple[str, int]:
    return WHO.get(), threading.get_ident()


def test_it_is_asked_on_its_own_loop_in_the_callers_context() -> None:
    home, ready, leave = Home(), threading.Event(), asyncio.Event()

    async def live() -> None:
        home.loop = asyncio.get_running_loop()
        ready.set()
        await leave.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    ready.wait()

    async def ask() -> Any:
        WHO.set("caller")
        return await on_its_loop(cast("Any", home), seen)

    assert asyncio.run(ask()) == ("caller", thread.ident)
    assert home.loop is not None
    home.loop.call_soon_threadsafe(leave.set)
    thread.join()


def test_on_the_same_loop_it_is_just_awaited() -> None:
    home = Home()

    async def ask() -> Any:
        home.loop = asyncio.get_running_loop()
        return await on_its_loop(cast("Any", home), seen)

    assert asyncio.run(ask())[1] == threading.get_ident()


def test_the_context_is_that_of_the_moment_it_was_made() -> None:
    WHO.set("earlier")
    asking = in_context_of_caller(seen)
    WHO.set("later")
    assert asyncio.run(asking)[0] == "earlier"
    WHO.set("nobody")

"""Lets a test be a coroutine function: it is run to its end in a loop of its own."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def scene(test: Callable[[], Coroutine[object, object, None]]) -> Callable[[], None]:
    """The test as a plain function."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run

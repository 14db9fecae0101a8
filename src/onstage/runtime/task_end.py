"""The end of background tasks: told to stop, and gone when that is over."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["end_tasks"]


async def end_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel them and wait until they have ended, however they did; None stands for one that was never begun.

    What one of them raises is not raised here. Safe to call twice.
    """
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    if begun:
        await asyncio.wait(begun)

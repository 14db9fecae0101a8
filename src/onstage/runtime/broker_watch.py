"""Connecting to a broker for as long as it takes, and telling when it is away and when it is back: each once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar, final

from onstage.errors import BrokerUnavailable, UsageError
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onstage.ports.broker import Broker

__all__ = ["LOOK_S", "PAUSE_S_MAX", "BrokerWatch", "in_one_line", "until_there"]

PAUSE_S_MAX: Final = 5.0
"""The longest pause between two attempts to reach a broker."""
LOOK_S: Final = 0.25
"""How often a broker is asked whether it is in trouble. What is shorter than that is not told."""
_PAUSE_S: Final = 0.2
T = TypeVar("T")
log = logging.getLogger("onstage.broker")


def in_one_line(trouble: str) -> str:
    """What and why of a trouble that is told in three lines."""
    what, _, rest = trouble.partition("\n")
    why = rest.partition("why: ")[2].partition("\n")[0]
    return f"{what} ({why})" if why else what


async def until_there(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` answers, once the broker lets it; until then it is called again and again."""
    pause = _PAUSE_S
    while True:
        try:
            return await ask()
        except BrokerUnavailable as error:
            log.info("the broker does not answer yet: %s", in_one_line(str(error)))
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_S_MAX)


def _log(trouble: str | None) -> None:
    if trouble is None:
        log.warning("the broker is back")
        return
    log.warning("the broker is away: %s; it is tried again until it answers", in_one_line(trouble))


@final
class BrokerWatch:
    """Opens one broker and looks after it. `tell` hears of each trouble once, and None when it is over."""

    def __init__(self, broker: Broker, tell: Callable[[str | None], None] = _log) -> None:
        """For a broker that is not open yet."""
        self.tell = tell
        self._broker = broker
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def open(self, *, at_any_rate: bool = False) -> None:
        """Return when the broker answers.

        Raises UsageError for a broker that cannot keep the promises; `at_any_rate` waits until it can.
        """
        pause = _PAUSE_S
        while True:
            try:
                await self._broker.open()
            except (BrokerUnavailable, UsageError) as error:
                if isinstance(error, UsageError) and not at_any_rate:
                    raise
                self._say(str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_S_MAX)
                continue
            self._say(None)
            self._task = asyncio.get_running_loop().create_task(self._look())
            return

    async def close(self) -> None:
        """Look no more. Safe to call twice."""
        await end_tasks(self._task)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._say(self._broker.trouble)

    def _say(self, trouble: str | None) -> None:
        if self._is_away == (trouble is not None):
            return
        self._is_away = trouble is not None
        self.tell(trouble)

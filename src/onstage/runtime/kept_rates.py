"""Slow rates across restarts: when somebody was let in last, as notes, until that no longer matters.

A bucket is in memory. What a restart forgets of a rate of many a second does not show over a minute; of one in a minute
it would be all. So each token of a rate of at most one a second leaves a note, in a commit before those of whoever took
it: no effect is durable whose token is not. The tokens of a handler are due in the order in which they were taken,
so that the notes which are no longer needed are always the oldest ones, and are dropped with the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Note, Notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.events.rate import Rate
    from onstage.runtime.node import Node

__all__ = ["KeptRate", "kept_rate"]

KEPT_INTERVAL_S: Final = 1.0
"""Rates whose tokens are at least so far apart are kept."""
PAGE: Final = 1000
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[str, int]).decode


def kept_rate(node: Node, name: str, rate: Rate | None, restore: Callable[[str, float], None]) -> KeptRate | None:
    """What keeps a rate; None if there is none, or it is too fast to matter. See `KeptRate`."""
    return None if rate is None or rate.interval_s < KEPT_INTERVAL_S else KeptRate(node, name, rate.interval_s, restore)


@final
class KeptRate:
    """The tokens of one rate, or of one rate for each key, that are not due again yet."""

    def __init__(self, node: Node, name: str, interval_s: float, restore: Callable[[str, float], None]) -> None:
        """`name` is that of the limit; `restore(key, due_s)` says when the next token is due, on the loop's clock."""
        self._node = node
        self._topic = f"rate {name}"
        self._interval_ms = interval_s * 1000
        self._restore = restore
        self._kept: deque[tuple[int, int]] = deque()
        self._next = 1

    def __len__(self) -> int:
        """How many notes there are."""
        return len(self._kept)

    async def load(self) -> None:
        """Take over what an earlier process has noted, before anything runs. A clock that jumped costs one interval."""
        reader, after = self._node.store.reader, 0
        now_ms, now_s = self._node.clock.now_ms(), asyncio.get_running_loop().time()
        while notes := await reader.notes(self._topic, after=after, limit=PAGE):
            for note in notes:
                key, due_ms = _DECODE(note.body)
                self._kept.append((note.number, due_ms))
                wait_ms = min(due_ms - now_ms, self._interval_ms)
                if wait_ms > 0:
                    self._restore(key, now_s + wait_ms / 1000)
            after = notes[-1].number
        self._next = after + 1

    def took(self, key: str) -> None:
        """A token was taken just now; "" where the rate is one for all keys."""
        node, now_ms = self._node, self._node.clock.now_ms()
        over = 0
        while self._kept and self._kept[0][1] <= now_ms:
            over, _ = self._kept.popleft()
        due_ms = round(now_ms + self._interval_ms)
        kept = Note(self._topic, self._next, _ENCODE((key, due_ms)))
        self._kept.append((self._next, due_ms))
        self._next += 1
        dropped = [(self._topic, 0, over)] if over else []
        node.append_notes(Notes([kept], dropped))

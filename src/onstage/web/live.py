"""What changes while somebody looks: one watcher per UI, which says only that a topic has changed.

Topics are `attention`, `processes`, `map`, `audit` and `process/ID`. The watcher looks at the file only while somebody
listens: first at the number that SQLite changes with every commit, then, for a process, at its own rows. A topic that
changed is told at most `PER_SECOND_MAX` times a second; whoever comes anew is told about each topic once, for what has
changed since their page was made. Every notice has a number; whoever comes back with the last one
that they saw is told at once about each topic that has changed since, or about all if that is too long ago.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, final

from onstage.reading.failure import Failure
from onstage.reading.process_rows import find_process
from onstage.web.panes import pane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["KEPT_MAX", "LISTENERS_MAX", "PER_SECOND_MAX", "TOPICS_MAX", "Live", "is_topic"]

PER_SECOND_MAX: Final = 4
"""A topic is told about so often a second."""

LISTENERS_MAX: Final = 100
"""So many may listen at once; a further one is refused."""

TOPICS_MAX: Final = 8
"""One listener listens to so many topics."""

KEPT_MAX: Final = 1_000
"""For so many topics it is remembered when they changed."""

HEARTBEAT_S: Final = 15.0
_GENERAL: Final = frozenset({"attention", "processes", "map", "audit", "events", "services"})
_PROCESS: Final = "process/"
_NEVER: Final = object()


def is_topic(text: str) -> bool:
    """Whether there is such a topic."""
    return text in _GENERAL or (text.startswith(_PROCESS) and len(text) > len(_PROCESS))


@final
class Live:
    """Tells listeners which topics have changed."""

    def __init__(self, source: Source) -> None:
        """Nothing is looked at before somebody listens."""
        self._source = source
        self._number = source.clock.now_ms() << 8  # numbers of an earlier server are smaller
        self._changed: dict[str, int] = {}
        self._forgotten = 0
        self._marks: dict[str, object] = {}
        self._versions: dict[tuple[int, tuple[str, ...]], int] = {}
        self._listening: dict[asyncio.Event, tuple[str, ...]] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no further listener is taken."""
        return len(self._listening) >= LISTENERS_MAX

    async def listen(self, topics: Sequence[str], last: int | None = None) -> AsyncIterator[tuple[int, str] | None]:
        """Notices (number, topic) as they come, from behind number `last` on; None now and then, for who is silent."""
        chosen = tuple(dict.fromkeys(topics))[:TOPICS_MAX]
        woken = asyncio.Event()
        self._listening[woken] = chosen
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        seen = dict.fromkeys(chosen, last or 0)
        missed = [topic for topic in chosen if last is not None and last < self._forgotten]
        try:
            for topic in missed:
                yield self._number, topic
            while True:
                woken.clear()
                for number, topic in self._news(seen):
                    seen[topic] = number
                    yield number, topic
                if not await _heard(woken):
                    yield None
        finally:
            del self._listening[woken]

    def _news(self, seen: dict[str, int]) -> list[tuple[int, str]]:
        changed = [(self._changed.get(topic, 0), topic) for topic in seen]
        return sorted(each for each in changed if each[0] > seen[each[1]])

    async def _watch(self) -> None:
        """Look until nobody listens any more."""
        while self._listening:
            topics = tuple(sorted({topic for chosen in self._listening.values() for topic in chosen}))
            with suppress(Failure):
                self._tell(topics, await self._source.read(partial(self._marks_of, topics)))
            await asyncio.sleep(1 / PER_SECOND_MAX)
        self._marks.clear()
        self._versions.clear()

    def _tell(self, topics: tuple[str, ...], found: dict[str, object]) -> None:
        """A topic that was not looked at before counts as changed: nobody knows what happened meanwhile."""
        changed = {topic: None for topic, mark in found.items() if self._marks.get(topic, _NEVER) != mark}
        self._marks = {topic: mark for topic, mark in (self._marks | found).items() if topic in topics}
        for topic in changed:
            self._number += 1
            self._changed.pop(topic, None)
            self._changed[topic] = self._number
        while len(self._changed) > KEPT_MAX:
            self._forgotten = self._changed.pop(next(iter(self._changed)))
        for woken, chosen in self._listening.items():
            if not changed.keys().isdisjoint(chosen):
                woken.set()

    async def _marks_of(self, topics: tuple[str, ...], store: StoreFile) -> dict[str, object]:
        """What is different when a topic has changed; nothing if the file has not since this connection looked."""
        version, looked = int(store.connection.pragma("data_version")), (id(store), topics)
        if self._versions.get(looked) == version:
            return {}
        found = {topic: await _mark_of(store, topic) for topic in topics}
        self._versions = {key: value for key, value in self._versions.items() if key[1] == topics} | {looked: version}
        return found

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])


async def _heard(woken: asyncio.Event) -> bool:
    """Wait for news, for a while; whether there are any."""
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            await woken.wait()
    except TimeoutError:
        return False
    return True


async def _mark_of(store: StoreFile, topic: str) -> object:
    if topic.startswith(_PROCESS):
        return await _of_process(store, topic.removeprefix(_PROCESS))
    return tuple(pane(store, f"mark_of_{topic}")[0])


async def _of_process(store: StoreFile, name: str) -> object:
    try:
        view = await find_process(store, name)
    except LookupError:
        return None
    return (view.open, view.digest, view.ended, *pane(store, "mark_of_process", process=view.id)[0])

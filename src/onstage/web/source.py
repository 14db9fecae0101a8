"""The store behind the UI: read in threads of its own, so that a page never holds up the loop it is served on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final

import apsw

from onstage.ports.clock import SystemClock
from onstage.reading.failure import Exit, Failure
from onstage.reading.store_file import StoreFile, lock_holder, opened, standing
from onstage.web.page_reader import PageReader
from onstage.web.shown import Standing

if TYPE_CHECKING:
    from pathlib import Path

    from onstage.ports.clock import Clock
    from onstage.ports.store import Reader

__all__ = ["QUERY_S_MAX", "READERS", "Source", "at_once"]

READERS: Final = 2
"""Threads that read, each on a connection of its own."""

QUERY_S_MAX: Final = 5.0
"""How long one reading may take before it is given up."""

REMEMBERED_MS: Final = 1_000
"""Totals are counted anew after so long, if the store has changed."""

_STEPS: Final = 50_000

T = TypeVar("T")
Query = Callable[[StoreFile], Coroutine[Any, Any, T]]


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing: a reader of a file answers without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise AssertionError("a reading waited for something")


@final
class Source:
    """A store's file, read by several threads; opened when it is first asked for, and again if it was away."""

    def __init__(
        self, path: Path, *, clock: Clock | None = None, acts: bool = True, why_not: str | None = None
    ) -> None:
        """Look at the store at this path. With `acts` false nothing can be changed from here: `why_not` says why."""
        self.path = path
        self.clock = clock or SystemClock()
        self._acts, self._why_not = acts, why_not
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="onstage-ui")
        self._local = threading.local()
        self._opened: list[StoreFile] = []
        self._remembered: dict[tuple[str, int], tuple[int, int, Any]] = {}

    async def read(self, query: Query[T]) -> T:
        """Run a query on a snapshot. Raises Failure for a store that cannot be read, and for what takes too long."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_here, query)

    def read_here(self, query: Query[T]) -> T:
        """The same, in this thread."""
        store = self._store()
        give_up = self.clock.now_ms() + QUERY_S_MAX * 1000
        store.connection.set_progress_handler(lambda: self.clock.now_ms() > give_up, _STEPS)
        try:
            with store.snapshot():
                store.reader = cast("Reader", PageReader(store.connection))
                return at_once(query(store))
        except apsw.InterruptError:
            raise Failure(
                f"reading took more than {QUERY_S_MAX:g} s",
                "the store is large, or the machine is busy",
                "narrow what you look for",
                code=Exit.UNREACHABLE,
            ) from None
        except (apsw.CantOpenError, apsw.CorruptError, apsw.IOError, apsw.NotADBError) as error:
            self._forget()
            raise Failure(
                f"cannot read {self.path}", str(error), "run `onstage doctor`", code=Exit.UNREACHABLE
            ) from error

    def _store(self) -> StoreFile:
        store: StoreFile | None = getattr(self._local, "store", None)
        if store is None:
            store = self._local.store = opened(self.path)
            self._opened.append(store)
        return store

    def _forget(self) -> None:
        store = self._local.store
        self._local.store = None
        self._opened.remove(store)
        with suppress(apsw.Error):
            store.close()

    def remembered(self, name: str, store: StoreFile, make: Callable[[], T], *, version: int | None = None) -> T:
        """What `make` answers, made again only when the store has changed, and not more than once a second.

        With a `version` it is made again at once when that is another one, and then only.
        """
        waits = REMEMBERED_MS if version is None else 0
        now = self.clock.now_ms()
        version = int(store.connection.pragma("data_version")) if version is None else version
        key = (name, id(store))
        found = self._remembered.get(key)
        if found is None or (found[0] != version and now - found[1] >= waits):
            found = self._remembered[key] = (version, now, make())
        answer: T = found[2]
        return answer

    def standing(self, store: StoreFile) -> Standing:
        """What one looks at, and whether anything can be done about it from here."""
        why_not = self._reason(store)
        return Standing(
            store=str(self.path),
            kind=store.kind,
            running=self._runs(),
            acts=why_not is None,
            now_ms=self.clock.now_ms(),
            note=standing(store),
            why_not=why_not,
        )

    async def why_not(self, store: StoreFile) -> str | None:
        """Why nothing can be done from here, None if something can."""
        return self._reason(store)

    def _reason(self, store: StoreFile) -> str | None:
        if not self._acts:
            return self._why_not or "it only shows"
        if store.kind == "view":
            return "this is an observer's store: act in the store of the service"
        return None if self._runs() else "no node runs on this store: start `onstage run`, then act"

    def _runs(self) -> bool:
        return lock_holder(self.path) is not None

    def close(self) -> None:
        """Read no more."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for store in self._opened:
            with suppress(apsw.Error):
                store.close()
        self._opened.clear()

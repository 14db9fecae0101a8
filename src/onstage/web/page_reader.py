"""A reader for the length of one page: what every row of it asks for is read once.

A verdict asks for the manifest, for pauses, and for what was set aside ahead in the same lane. On a page of fifty
processes that is the same fifty times over, and looking through what is set aside is the dearest of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from onstage.core.commit import event_of, handler_of
from onstage.runtime.pauses import PAUSED
from onstage.stores.sqlite.reader import SqliteReader
from onstage.web.panes import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from onstage.core.commit import Note
    from onstage.ports.store import ExecutionView

__all__ = ["ASIDE_MAX", "PageReader"]

ASIDE_MAX: Final = 20_000
"""With more set aside at one handler, each look ahead is a statement of its own."""


@final
class PageReader:
    """A reader of one snapshot; all that it does not remember it asks of the reader of the file."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Nothing is remembered yet."""
        self._connection = connection
        self._reader = SqliteReader(connection)
        self._manifest: bytes | None = None
        self._pauses: list[Note] | None = None
        self._aside: dict[int, dict[str | None, list[tuple[int, int]]] | None] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else a reader does."""
        return getattr(self._reader, name)

    async def manifest(self, topology: int | None = None) -> bytes:
        """The newest manifest, read once."""
        if topology is not None:
            return await self._reader.manifest(topology)
        if self._manifest is None:
            self._manifest = await self._reader.manifest()
        return self._manifest

    async def notes(self, topic: str, **options: Any) -> list[Note]:
        """What is kept under a topic; the pauses are read once."""
        if topic != PAUSED:
            return await self._reader.notes(topic, **options)
        if self._pauses is None:
            self._pauses = await self._reader.notes(topic, **options)
        return self._pauses

    async def ahead(self, execution: int, *, statuses: Iterable[int], field: str | None = None) -> ExecutionView | None:
        """The first earlier execution of the same handler and lane that is set aside."""
        wanted = frozenset(statuses)
        aside = self._set_aside(handler_of(execution)) if field is None else None
        if aside is None:
            return await self._reader.ahead(execution, statuses=wanted, field=field)
        event = await self._reader.event(event_of(execution))
        if event is None or event.key is None:
            return None
        for number, status in aside.get(event.key, ()):
            if number < execution and status in wanted:
                stored = await self._reader.execution(number)
                return None if stored is None else stored.execution
        return None

    def _set_aside(self, handler: int) -> dict[str | None, list[tuple[int, int]]] | None:
        """What is set aside at a handler, by the key of its event, in order; None if it is too much to remember."""
        if handler not in self._aside:
            rows = rows_of(self._connection, "set_aside_keys", handler=handler, limit=ASIDE_MAX + 1)
            found: dict[str | None, list[tuple[int, int]]] = {}
            for number, status, key in rows:
                found.setdefault(key, []).append((number, status))
            self._aside[handler] = found if len(rows) <= ASIDE_MAX else None
        return self._aside[handler]

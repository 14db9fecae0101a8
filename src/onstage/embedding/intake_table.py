"""Both ends of the intake table at one stage: `emit_in` writes a row, and the node takes rows in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from onstage.embedding.intake_database import intake_database
from onstage.embedding.intake_poller import IntakePoller
from onstage.embedding.joining import joined_to, refuse_file
from onstage.errors import StoreUnavailable
from onstage.events.envelope import check_attribute, check_size
from onstage.events.event import event_type
from onstage.ports.clock import SystemClock
from onstage.runtime.wire import of_process
from onstage.telemetry.trace_context import current

if TYPE_CHECKING:
    from onstage.embedding.intake_row import IntakeRow
    from onstage.ports.telemetry import Family
    from onstage.runtime.local_ways import LocalWays

__all__ = ["IntakeTable", "admitting"]


@final
class IntakeTable:
    """The intake table of one stage."""

    def __init__(self, store: Path | None, where: Any = None) -> None:
        """`where` is what `intake=` said, None for a stage that only writes rows; `store` is the node's own file.

        Raises UsageError for a database that can be none.
        """
        self._store = store
        self._database = None if where is None else intake_database(where)
        if store is not None and isinstance(where, str) and where.startswith("sqlite:"):
            refuse_file(store, where.partition("///")[2])
        self._token = SystemClock().token
        self._poller: IntakePoller | None = None
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    # Writing rows: on any thread, whether the stage is entered or not.

    def write(self, tx: Any, event: object, id: str | None) -> Awaitable[None] | None:
        """Write the row of an event in the transaction of `tx`."""
        known = event_type(type(event))
        data = known.encode_from_outside(event)
        check_size(known.name, data)
        if id is not None:
            check_attribute("id", id)
        trace = current()
        attributes = None if trace is None else of_process(None, trace=trace).decode()
        row = (id or self._token(16).hex(), known.name, data.decode(), attributes)
        written = joined_to(tx).insert(row, self._store)
        if written is None:
            self._hint()
            return None
        return self._hinting(written)

    async def _hinting(self, written: Awaitable[None]) -> None:
        await written
        self._hint()

    def _hint(self) -> None:
        loop, poller = self._loop, self._poller
        if loop is None or poller is None or loop.is_closed():
            return
        if self._thread == threading.get_ident():
            poller.hint()
        else:
            loop.call_soon_threadsafe(poller.hint)

    # Taking rows in: on the node's loop.

    async def start(self, ways: LocalWays) -> None:
        """Begin to take rows in, if the stage was told where they are."""
        if self._database is None:
            return
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._poller = IntakePoller(self._database, admitting(ways))
        await self._poller.start()

    async def close(self) -> None:
        """Take in no more."""
        poller, self._poller, self._loop = self._poller, None, None
        if poller is not None:
            await poller.close()

    def families(self) -> list[Family]:
        """The metrics of taking in; none if nothing is."""
        return [] if self._poller is None else self._poller.families()


def admitting(ways: LocalWays) -> Callable[[Sequence[IntakeRow]], Awaitable[list[Exception | None]]]:
    """How rows are made durable: through the door of this node, each under its id."""

    async def admit(rows: Sequence[IntakeRow]) -> list[Exception | None]:
        events = [
            {
                "type": row.type,
                "data": str(row.data).encode(errors="replace"),
                "id": row.id,
                "source": None,
                "process": None,
                "extra": None if row.attributes is None else row.attributes.encode(),
            }
            for row in rows
        ]
        answers = await ways.emit_all(events, go_on=True)
        if isinstance(answers[-1], StoreUnavailable):
            answers.pop()
        return [answer if isinstance(answer, Exception) else None for answer in answers]

    return admit

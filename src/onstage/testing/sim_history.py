"""What a simulated world can be asked afterwards: events, verdicts, dead letters, and a process as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from onstage.core.commit import event_of
from onstage.core.identity import number_in
from onstage.core.journal import Attempted, Emitted, Failed, Raced, Stepped, WaitEnded, WaitHopeless, WaitOpened
from onstage.events.envelope import hlc_ms
from onstage.events.event import event_type
from onstage.events.receipt import Status
from onstage.runtime.watch import verdict_of
from onstage.testing.virtual_clock import START_MS

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import EventView, ExecutionView, ProcessView, Reader

__all__ = ["SimHistory"]

E = TypeVar("E")
PAGE: Final = 1000


@final
class SimHistory:
    """Reads the store of a simulated world; what it says is durable."""

    def __init__(self, reader: Reader, types: dict[str, Any]) -> None:
        """`types` are the event types of the application by their names."""
        self._reader = reader
        self._types = types

    async def process(self, key: str) -> ProcessView | None:
        """The newest process with this key, or the one with this public id."""
        rows = await self._reader.processes(key=key, limit=1)
        if rows:
            return rows[0]
        number = number_in(key)
        row = None if number is None else await self._reader.process(number)
        return row if row is not None and row.wire_id == key else None

    async def emitted(self, cls: type[E]) -> list[E]:
        """Every event of this class, in order, from inside or outside."""
        known, found, after = event_type(cls), list[E](), 0
        while page := await self._reader.events(type=known.name, after=after, limit=PAGE):
            found.extend(known.read(event.data, event.version) for event in page)
            after = page[-1].n
        return found

    async def outcome(self, key: str) -> str | None:
        """The class name of the outcome event of the process; None if none occurred, or there is no process."""
        row = await self.process(key)
        if row is None or row.outcome is None:
            return None
        return str(self._types[row.outcome].cls.__name__)

    async def verdict(self, key: str) -> Verdict:
        """The present verdict. Raises LookupError if there is no such process."""
        row = await self.process(key)
        verdict = None if row is None else await verdict_of(self._reader, row.id)
        if verdict is None:
            raise LookupError(f"there is no process with key {key}")
        return verdict

    async def set_aside(self, key: str) -> list[ExecutionView]:
        """The dead letters and diverged executions of a process, oldest first."""
        row = await self.process(key)
        if row is None:
            return []
        return await self._reader.executions(process=row.id, statuses=[Status.PARKED, Status.DIVERGED], limit=PAGE)

    async def history(self, key: str) -> str:
        """The process as text: each event, who dealt with it, and what they did, call by call."""
        row = await self.process(key)
        if row is None:
            return f"{key}: there is no such process"
        lines = [f"{key}: {await verdict_of(self._reader, row.id)}"]
        executions: dict[int, list[ExecutionView]] = {}
        for view in await self._reader.executions(process=row.id, limit=PAGE):
            executions.setdefault(event_of(view.id), []).append(view)
        for event in await self._reader.events(process=row.id, limit=PAGE):
            lines.append(f"  {_clock(hlc_ms(event.hlc))}  {self._named(event)}")
            for view in executions.get(event.n, ()):
                lines.extend(await self._execution(view))
        return "\n".join(lines)

    def _named(self, event: EventView) -> str:
        known = self._types.get(event.type)
        return event.type if known is None else repr(known.read(event.data, event.version))

    async def _execution(self, view: ExecutionView) -> list[str]:
        stored = await self._reader.execution(view.id)
        entries = () if stored is None else stored.entries
        first = (view.error or "").partition("\n")[0]
        head = f"    {view.handler}: {Status(view.status).label}{f' ({first})' if first else ''}"
        return [head, *(f"      {_said(entry)}" for entry in entries)]


def _said(entry: Entry) -> str:
    match entry:
        case Stepped():
            what = f"ended: {entry.result.decode(errors='replace')}"
        case Attempted() | Failed():
            first = entry.error.partition("\n")[0]
            what = f"failed ({entry.attempts}): {first}"
        case Raced():
            what = f"won by branch {entry.winner}"
        case WaitOpened():
            what = f"waits for {' or '.join(entry.types)}"
        case WaitEnded():
            what = f"took {entry.type}" if entry.event else "timed out"
        case WaitHopeless():
            what = "waited for what will never happen"
        case Emitted():
            what = f"emitted event {entry.event}"
        case _:
            what = type(entry).__name__.lower()
    return f"{entry.position}  {what}"


def _clock(ms: int) -> str:
    seconds, thousandths = divmod(ms - START_MS, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"

"""Delayed events and schedules: what was kept comes once, as it was said and not early; each planned run is told of."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from onstage.core.planned_run import SCHEDULES, decode_row
from onstage.events.codec import DecodeFailed
from onstage.events.delayed import LATER, decode_delayed
from onstage.events.envelope import hlc_ms
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["TICK", "begun_after_expiry", "released_wrongly", "runs_unaccounted"]

TICK = "onstage.tick/"


class _Until(msgspec.Struct):
    expirytime: str | None = None


class _Planned(msgspec.Struct):
    planned: str


def released_wrongly(file: StoredFile, spoilt: Collection[int]) -> Iterator[str]:
    """Delayed events whose time has come and that were emitted not at all, several times, early, or as another one."""
    emitted: dict[int, list[int]] = {}
    for n, emitting in file.events.items():
        emitted.setdefault(emitting.cause, []).append(n)
    for execution, row in file.executions.items():
        if file.handler_of(execution) != LATER or row.status != Status.DONE or execution >> 16 in spoilt:
            continue
        found = emitted.get(execution, [])
        if len(found) != 1:
            yield f"delayed event {execution >> 16} was emitted {len(found)} times"
            continue
        kept, event = decode_delayed(file.payloads[execution >> 16]), file.events[found[0]]
        data = bytes(kept.data) if found[0] in spoilt else file.payloads[found[0]]
        if (event.type, event.key, data) != (kept.type, kept.key, bytes(kept.data)):
            yield f"delayed event {execution >> 16} was emitted as another one"
        if hlc_ms(event.hlc) < kept.due:
            yield f"delayed event {execution >> 16} was emitted {kept.due - hlc_ms(event.hlc)} ms early"


def begun_after_expiry(file: StoredFile, handlers: Collection[str]) -> Iterator[str]:
    """Skipped executions of these handlers, all of whose events expire, that have left something all the same."""
    wires = {n: wire for wire, n in file.wires.items()}
    effects = {(event, handler) for event, handler in file.rows("select event, handler from effect")}
    extras = dict(file.rows("select n, extra from onstage_event where extra is not null"))
    for execution, row in file.executions.items():
        n, handler = execution >> 16, file.handler_of(execution)
        if handler not in handlers or row.status != Status.SKIPPED:
            continue
        if n not in extras or msgspec.json.decode(extras[n], type=_Until).expirytime is None:
            yield f"event {n} was skipped, and never expires"
        if execution in file.journals or (wires[n], handler) in effects:
            yield f"event {n} was skipped, and handled all the same"


def runs_unaccounted(file: StoredFile, name: str, period_ms: int, spoilt: Collection[int]) -> Iterator[str]:
    """Runs of a schedule of this interval that came twice, at another time, or that nobody tells of."""
    ticks = [n for n, row in file.events.items() if row.type == f"{TICK}{name}"]
    planned = Counter(_planned_ms(file.payloads[n]) for n in ticks if n not in spoilt)
    if twice := [at for at, count in planned.items() if count > 1]:
        yield f"{name} ran more than once for {twice}"
    if crooked := [at for at in planned if at % period_ms]:
        yield f"{name} ran for {crooked}, which was never planned"
    for (body,) in file.rows("select body from onstage_note where topic = ?", SCHEDULES):
        try:
            row = decode_row(body)
        except DecodeFailed:
            continue
        if row.name != name:
            continue
        if row.runs != len(ticks):
            yield f"{name} says {row.runs} runs, and there are {len(ticks)}"
        if planned and (row.due - min(planned)) // period_ms > row.runs + row.skipped:
            yield f"{name} has lost runs: {row.runs} ran and {row.skipped} were left out since {min(planned)}"


def _planned_ms(data: bytes) -> int:
    return round(datetime.fromisoformat(msgspec.json.decode(data, type=_Planned).planned).timestamp() * 1000)

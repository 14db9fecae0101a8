"""I7: what may truthfully be said of a process at this moment."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.events.receipt import OPEN_MAX, Status
from onstage.events.topic import SYSTEM_PREFIX
from onstage.observe.progress import decode_progress

if TYPE_CHECKING:
    from onstage.testing.checks.stored_file import Rows

__all__ = ["FINAL", "truths"]

_TOPOLOGY: Final = "select manifest from onstage_topology order by epoch desc limit 1"
_PAUSED: Final = "select body from onstage_note where topic = 'paused'"

FINAL: Final = frozenset({"completed", "dead end"})


def truths(rows: Rows, process: str) -> set[str]:
    """The verdicts on the process with this public id that are true now; none if it is not stored."""
    found = rows("select id, open, outcome from onstage_process where wire_id = ?", process)
    if not found:
        return set()
    number, is_open, outcome = found[0]
    if not is_open:
        return {"dead end" if outcome is None else "completed"}
    if _is_overdue(rows, number):
        return {"stuck"}
    found = rows(
        "select distinct status, due is null, id & 65535 from onstage_execution"
        " where process = ? and gating and status <= ?",
        number,
        OPEN_MAX,
    )
    ready = [handler for status, is_now, handler in found if status == Status.READY and is_now]
    found = [(Status.WAITING if _is_paused(rows, *each) else each[0], *each[1:]) for each in found]
    # What keeps an event for later is ready as well, and waits until it is due.
    statuses = {Status(status) for status, is_now, _ in found if is_now or status != Status.READY}
    if statuses & {Status.PARKED, Status.DIVERGED} or any(_is_gone(rows, handler) for *_, handler in found):
        return {"stuck"}
    may_be_stuck = {"stuck"} if ready and _service_has_stuck(rows, ready) else set[str]()
    return {"waiting" if statuses <= {Status.WAITING, Status.RETRYING} else "running"} | may_be_stuck


def _is_overdue(rows: Rows, process: int) -> bool:
    """Whether a milestone or the deadline of a watched process was found to be late."""
    found = rows("select body from onstage_progress where process = ?", process)
    progress = [decode_progress(body) for (body,) in found]
    return any(each.late or each.is_past_deadline for each in progress)


def _service_has_stuck(rows: Rows, handlers: list[int]) -> bool:
    """Whether anything was set aside in the services of these handlers: they may stand behind it in a lane."""
    services = {_name(rows, handler).partition(".")[0] for handler in handlers}
    aside = rows("select distinct id & 65535 from onstage_execution where status in (4, 5)")
    return any(_name(rows, handler).partition(".")[0] in services for (handler,) in aside)


def _name(rows: Rows, handler: int) -> str:
    return next((name for (name,) in rows("select name from onstage_handler where id = ?", handler)), "")


def _is_paused(rows: Rows, status: int, _: int, handler: int) -> bool:
    """Whether this is an obligation that is held back, since its handler or the service of it is paused."""
    if status != Status.READY:
        return False
    paused = [name for (body,) in rows(_PAUSED) for name in msgspec.msgpack.decode(body)]
    if not paused:
        return False
    name = _name(rows, handler)
    return name in paused or name.partition(".")[0] in paused


def _is_gone(rows: Rows, handler: int) -> bool:
    """Whether the code that was declared last has no such handler, nor is it one of Onstage's own."""
    name = _name(rows, handler)
    declared = frozenset[str]().union(*(_handlers_in(manifest) for (manifest,) in rows(_TOPOLOGY)))
    return bool(declared and name) and not name.startswith(SYSTEM_PREFIX) and name.partition("@")[0] not in declared


@lru_cache(16)
def _handlers_in(manifest: bytes) -> frozenset[str]:
    return frozenset(handler.name for handler in from_stored(manifest).handlers)

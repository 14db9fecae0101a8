"""How far long steps have come: the last heartbeat of each, as it is kept while its execution is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.reading.redaction import redacted
from onstage.reading.wording import instant, moment
from onstage.runtime.long_step import HEARTBEATS, Beat

if TYPE_CHECKING:
    from onstage.ports.store import Reader

__all__ = ["HEARTBEATS_MAX", "Heartbeat", "heartbeats_in"]

HEARTBEATS_MAX: Final = 10_000
"""So many heartbeats of a store are looked at."""

PAGE: Final = 1_000
_COLUMNS: Final = 60


@final
class Heartbeat(msgspec.Struct, frozen=True):
    """What a step said last: in which attempt, when, and what."""

    step: str
    attempt: int
    at: Any
    said: msgspec.Raw
    ms: int

    def __str__(self) -> str:
        """As people read it."""
        said = bytes(self.said).decode(errors="replace")
        said = said if len(said) <= _COLUMNS else f"{said[: _COLUMNS - 1]}…"
        return f"{self.step} said {said} at {moment(self.ms)} UTC, attempt {self.attempt}"


async def heartbeats_in(reader: Reader) -> dict[int, list[Heartbeat]]:
    """The last heartbeats that a store keeps, by the execution whose steps said them; none of those that are sealed."""
    found: dict[int, list[Heartbeat]] = {}
    after = -1
    for _ in range(HEARTBEATS_MAX // PAGE):
        page = await reader.notes(HEARTBEATS, after=after, limit=PAGE)
        for note in page:
            try:
                beat = msgspec.msgpack.decode(note.body, type=Beat)
            except msgspec.DecodeError:
                continue  # it is sealed
            found.setdefault(beat.execution, []).append(_shown(beat))
        if len(page) < PAGE:
            break
        after = page[-1].number
    return found


def _shown(beat: Beat) -> Heartbeat:
    said = msgspec.Raw(redacted(beat.details))
    return Heartbeat(beat.position.removesuffix("#0"), beat.attempt, instant(beat.at), said, beat.at)

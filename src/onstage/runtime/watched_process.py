"""A process under the hands of whoever watches it, and what is to be told and written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from onstage.core.commit import ProgressRow
from onstage.core.undoing import COMPENSATING, NOTHING, PIVOTED, decode_undoing
from onstage.observe.progress import encode_progress
from onstage.runtime.wave_plan import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.core.commit import Note
    from onstage.observe.progress import Change, Plan, Progress
    from onstage.ports.store import ProcessView, Reader

__all__ = ["Teller", "Told", "WatchedProcess", "unless_undone"]

_WITHIN_UNDOING: Final = frozenset({"completed", "dead-end", "reopened", "overdue"})


class Told(NamedTuple):
    """A change of verdict and the process that it is about."""

    view: ProcessView
    change: Change


async def unless_undone(told: Sequence[Told], reader: Reader) -> list[Told]:
    """Leave out what is no news of a process that is undone: that it goes on, is late and ends by its undoing.

    What had come about before that was decided is told, and all of a process of which nothing is to be undone.
    """
    asked = {each.view.id for each in told if each.change.kind in _WITHIN_UNDOING}
    since: dict[int, int] = {}
    for row in await reader.waves(sorted(asked)) if asked else []:
        undoing = decode_undoing(row.body)
        if row.state == COMPENSATING and not undoing.by_hand:
            is_undone = bool(await plan_of(reader, row.process, decisive=max(undoing.exempt, 0)))
        else:
            is_undone = row.state not in (PIVOTED, NOTHING)
        if is_undone:
            since[row.process] = undoing.since
    return [
        each
        for each in told
        if each.change.kind not in _WITHIN_UNDOING or each.change.at < since.get(each.view.id, each.change.at + 1)
    ]


class Teller(Protocol):
    """What a monitor does not do itself: writing, with what is to be told, and the event of a deadline."""

    wants_changes: bool

    def append(self, told: Sequence[Told], rows: Sequence[ProgressRow], notes: Sequence[Note]) -> int:
        """Append one commit of all this; answers its position."""
        ...

    async def append_late(self, view: ProcessView, row: ProgressRow) -> int | None:
        """Append the event that ends an overdue process, with its row; None if none is declared.

        The commit is to be refused if the process has an outcome. Raises what the user's function raises, and
        UsageError for what is no event here.
        """
        ...


@final
class WatchedProcess:
    """A process, what it promises, how far it has come, and the version of the row that says so."""

    __slots__ = ("is_touched", "plan", "progress", "version", "view")

    def __init__(self, view: ProcessView, plan: Plan, progress: Progress, version: int) -> None:
        """Untouched yet; version 0 has no row."""
        self.view = view
        self.plan = plan
        self.progress = progress
        self.version = version
        self.is_touched = False

    def row(self) -> ProgressRow:
        """The row that follows."""
        progress = self.progress
        due, body, broken = progress.next_due, encode_progress(progress), len(progress.broken)
        return ProgressRow(self.view.id, self.version + 1, due, progress.state, body, broken)

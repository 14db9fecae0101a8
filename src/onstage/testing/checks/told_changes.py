"""What handlers were told of changes of verdict: each change once, the right ones, and none that was not."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from onstage.events.envelope import hlc_ms
from onstage.events.process_changed import CHANGED_PREFIX
from onstage.events.receipt import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["Came", "Told", "came_in", "miscounted", "never_told_stuck", "told_of", "untrue_ends", "wrongly_overdue"]

ENDS: Final = ("completed", "dead-end", "reopened")
ASIDE: Final = (Status.PARKED, Status.DIVERGED)
SLACK_MS: Final = 2_000
"""What lies so near to its due time may be late or not: the time of a commit is not that of its event."""


class Told(NamedTuple):
    """One change that was told: its kind, such as "stuck", and what its event says."""

    kind: str
    said: dict[str, Any]


class Came(NamedTuple):
    """An event of a process: its type, and when it was emitted (ms)."""

    type: str
    at: int


def told_of(file: StoredFile) -> dict[int, list[Told]]:
    """What was told of each process, in the order of its numbers."""
    processes = {wire: number for number, wire in file.rows("select id, wire_id from onstage_process")}
    found: defaultdict[int, list[Told]] = defaultdict(list)
    for n, event in file.events.items():
        if event.type.startswith(CHANGED_PREFIX):
            said = msgspec.json.decode(file.payloads[n])
            found[processes[said["process"]]].append(Told(event.type.removeprefix(CHANGED_PREFIX), said))
    return {process: sorted(told, key=lambda each: each.said["number"]) for process, told in found.items()}


def came_in(file: StoredFile, process: int) -> list[Came]:
    """The events of a process, in the order of the log."""
    return [Came(event.type, hlc_ms(event.hlc)) for event in file.events.values() if event.process == process]


def miscounted(told: Sequence[Told]) -> Iterator[str]:
    """Changes are numbered from 1 on without a gap, and no number is told twice."""
    numbers = [each.said["number"] for each in told]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"changes {numbers} were told"


def untrue_ends(told: Sequence[Told], outcome: str | None) -> Iterator[str]:
    """Of a process in which nothing is open: its end was told last, no end twice, and only an end can be over again."""
    ends = [each for each in told if each.kind in ENDS]
    end = "dead-end" if outcome is None else "completed"
    if not ends or (ends[-1].kind, ends[-1].said.get("outcome")) != (end, outcome):
        yield f"{ends[-1] if ends else 'no end'} was told last, and it is {end} ({outcome})"
    kinds = [each.kind for each in ends]
    if any(before == after for before, after in zip(["reopened", *kinds], kinds, strict=False)):
        yield f"{kinds} were told"


def never_told_stuck(file: StoredFile, told: dict[int, list[Told]]) -> Iterator[str]:
    """Something of a process was set aside, and nobody was told; but who fails at hearing of it is not told again."""
    of_its_own = {event.process for event in file.events.values() if event.type.startswith(CHANGED_PREFIX)}
    aside = {row.receipt.process for row in file.receipts if row.receipt.status in ASIDE}
    for process in sorted(aside - of_its_own):
        if not any(each.kind == "stuck" for each in told.get(process, ())):
            yield f"something of process {process} was set aside, and nobody was told"


def wrongly_overdue(
    told: Sequence[Told], came: Sequence[Came], milestone: str, within_ms: int, outcomes: frozenset[str], now: int
) -> Iterator[str]:
    """A milestone is told to be late if it was, once. An outcome settles what had not come by then."""
    times = [each.said["milestone"] for each in told if each.kind == "overdue"]
    due = came[0].at + within_ms
    settled = min((each.at for each in came if each.type in outcomes or each.type == milestone), default=now)
    if times.count(milestone) > 1:
        yield f"{milestone} was told to be late {times.count(milestone)} times"
    if settled < due - SLACK_MS and milestone in times:
        yield f"{milestone} was told to be late, and was not"
    if settled > due + SLACK_MS and milestone not in times:
        yield f"{milestone} was late by {settled - due} ms, and nobody was told"

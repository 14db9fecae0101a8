"""What a node has done since its start, counted when it is durable: a commit that is refused counts for nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, final

from onstage.core.commit import handler_of
from onstage.core.journal import Attempted, Failed, Stepped, Transacted
from onstage.events.receipt import OPEN_MAX, Status
from onstage.ports.telemetry import Family, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.core.commit import Commit
    from onstage.ports.store import BatchOutcome

__all__ = ["DURATIONS_S", "Counts", "Histogram"]

DURATIONS_S: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)
"""The upper bounds of the buckets for durations: from a handler without effects to one that waited for a day."""

_ASIDE: Final = (Status.PARKED, Status.DIVERGED)


@final
class Histogram:
    """Counts of values by buckets, and their sum."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        """Nothing observed yet."""
        self._counts = [0] * (len(DURATIONS_S) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(DURATIONS_S, value)] += 1
        self._sum += value

    def samples(self, labels: tuple[tuple[str, str], ...]) -> list[Sample]:
        """Cumulative buckets, count and sum."""
        found: list[Sample] = []
        total = 0
        for bound, count in zip([*map(str, DURATIONS_S), "+Inf"], self._counts, strict=True):
            total += count
            found.append(Sample(total, (*labels, ("le", bound)), "_bucket"))
        return [*found, Sample(total, labels, "_count"), Sample(self._sum, labels, "_sum")]


@final
class Counts:
    """Counters and histograms of one node."""

    def __init__(self) -> None:
        """Nothing counted yet. `handlers` and `types` name the numbers in commits; the node sets them at its start."""
        self.handlers: Mapping[int, str] = {}
        self.types: Mapping[int, str] = {}
        self._waiting: deque[Commit] = deque()
        self._events: Counter[tuple[int, bool]] = Counter()
        self._ended: Counter[tuple[int, int]] = Counter()
        self._retried: Counter[int] = Counter()
        self._waited: Counter[int] = Counter()
        self._set_aside: Counter[int] = Counter()
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._closed: Counter[str] = Counter()
        self._durations: dict[int, Histogram] = {}
        self.each_end: Callable[[float, str], None] | None = None

    def appended(self, commit: Commit) -> None:
        """Count it once it is durable."""
        self._waiting.append(commit)

    def durable(self, outcome: BatchOutcome) -> None:
        """Count what became durable."""
        refused = {refusal.commit.position for refusal in outcome.refused}
        waiting = self._waiting
        while waiting and waiting[0].position <= outcome.position:
            commit = waiting.popleft()
            if commit.position not in refused:
                self._count(commit)
        for entry in outcome.results.values():
            self._count_entry(entry)
        for closed in outcome.closed:
            self._closed[closed.outcome or "none"] += 1

    def _count(self, commit: Commit) -> None:
        for event in commit.events:
            self._events[event.type, event.cause == 0] += 1
        if not commit.execution:
            return
        handler, status = handler_of(commit.execution), commit.status
        for entry in commit.entries:
            self._count_entry(entry)
        if status > OPEN_MAX:
            self._ended[handler, status] += 1
            histogram = self._durations.get(handler)
            if histogram is None:
                histogram = self._durations[handler] = Histogram()
            seconds = max(0, commit.ended - commit.started) / 1000
            histogram.observe(seconds)
            if self.each_end is not None:
                self.each_end(seconds, self._name(handler))
        elif status == Status.RETRYING:
            self._retried[handler] += 1
        elif status == Status.WAITING:
            self._waited[handler] += 1
        elif status in _ASIDE:
            self._set_aside[handler] += 1

    def _count_entry(self, entry: object) -> None:
        match entry:
            case Stepped() | Transacted():
                self._attempts[_step(entry.position), "done"] += 1
            case Attempted() if entry.attempts:
                self._attempts[_step(entry.position), "failed"] += 1
            case Failed():
                self._attempts[_step(entry.position), "gave up"] += 1
            case _:
                return

    def families(self) -> list[Family]:
        """What was counted so far."""
        return [
            Family(
                "onstage_events",
                "counter",
                "Events stored, by type and where they came from.",
                [
                    _total(count, type=self.types.get(number, ""), origin="outside" if is_outside else "handler")
                    for (number, is_outside), count in self._events.items()
                ],
            ),
            Family(
                "onstage_executions",
                "counter",
                "Executions that ended, by handler and outcome.",
                [
                    _total(count, handler=self._name(number), outcome=Status(status).label)
                    for (number, status), count in self._ended.items()
                ],
            ),
            self._by_handler("onstage_execution_retries", "Runs that are to be tried again.", self._retried),
            self._by_handler("onstage_execution_waits", "Executions that began to wait or sleep.", self._waited),
            self._by_handler("onstage_dead_letters", "Executions set aside for an operator.", self._set_aside),
            Family(
                "onstage_step_attempts",
                "counter",
                "Attempts of steps and transactions with a lasting outcome, by step.",
                [_total(count, step=step, outcome=outcome) for (step, outcome), count in self._attempts.items()],
            ),
            Family(
                "onstage_processes_ended",
                "counter",
                "Processes in which nothing was open any more, by outcome.",
                [_total(count, outcome=outcome) for outcome, count in self._closed.items()],
            ),
            Family(
                "onstage_execution_duration_seconds",
                "histogram",
                "From the first start of an execution to its end, waits included.",
                [
                    sample
                    for number, histogram in self._durations.items()
                    for sample in histogram.samples((("handler", self._name(number)),))
                ],
            ),
        ]

    def _by_handler(self, name: str, said: str, counter: Counter[int]) -> Family:
        return Family(name, "counter", said, [_total(n, handler=self._name(number)) for number, n in counter.items()])

    def _name(self, handler: int) -> str:
        return self.handlers.get(handler, str(handler))


def _total(count: int, **labels: str) -> Sample:
    return Sample(count, tuple(labels.items()), "_total")


def _step(position: str) -> str:
    """The step's name: a position is `name#occurrence`, below that of a branch perhaps."""
    return position.rpartition("/")[2].partition("#")[0]

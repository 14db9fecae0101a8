"""Telemetry: what a node tells whoever counts and traces it, and what it can be asked at any time.

A node without telemetry pays one comparison with None for each run and each commit. What can be read when somebody asks
(gauges, counters that exist anyway) is not told at all: `runtime/measurements.py` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from onstage.core.commit import Commit
    from onstage.core.identity import Identity
    from onstage.ports.store import BatchOutcome, Stored

__all__ = ["Family", "Kind", "Sample", "Telemetry"]

Kind = Literal["counter", "gauge", "histogram", "info"]


class Sample(NamedTuple):
    """One value of a metric; `suffix` is what stands behind the family's name, such as `_total`."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""


class Family(NamedTuple):
    """One metric, in all its labels."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


class Telemetry(Protocol):
    """Told by a node what happens. Everything is called on the node's loop, and nothing may raise."""

    def begin(self, handlers: Mapping[int, str], types: Mapping[int, str], identity: Identity) -> None:
        """The node is opened: the names behind the numbers in commits."""
        ...

    def appended(self, commit: Commit) -> None:
        """A commit has its position, and is not durable yet."""
        ...

    def durable(self, outcome: BatchOutcome) -> None:
        """Commits up to a position are durable or refused."""
        ...

    def traced(self, invoke: Any, /) -> Any:
        """How steps are run: as `invoke` does, observed."""
        ...

    def run(self, delivery: Any, coroutine: Coroutine[Any, Any, Any], stored: Stored | None, /) -> Any:
        """The coroutine to run in the place of a handler's: the same, observed.

        `stored` is the execution as the store has it, for one that ran before; None for one that runs the first time.
        """
        ...

    def carried(self, execution: int) -> tuple[str, str | None] | None:
        """The W3C `traceparent` and `tracestate` that events of this execution travel with."""
        ...

    def each_end(self, tell: Callable[[float, str], None], /) -> None:
        """Tell how many seconds each execution took, and its handler, once it has ended durably."""
        ...

    def families(self) -> Sequence[Family]:
        """What was counted."""
        ...

"""What is counted: when it is durable, and never what was refused."""

from onstage.core.commit import Commit, NewEvent, Refusal, RefusedBecause, execution_id
from onstage.core.journal import Attempted, Failed, Stepped, Transacted
from onstage.events.receipt import Status
from onstage.ports.store import BatchOutcome, Closed
from onstage.telemetry.counts import DURATIONS_S, Counts, Histogram


def value(counts: Counts, name: str, **labels: str) -> float:
    (family,) = [family for family in counts.families() if family.name == name]
    found = [
        each.value for each in family.samples if dict(each.labels) == labels and each.suffix in ("_total", "_count")
    ]
    return found[0] if found else 0


def counts() -> Counts:
    made = Counts()
    made.handlers, made.types = {1: "shop.take"}, {5: "placed"}
    return made


def commit(position: int, status: int, *entries: object, n: int = 1) -> Commit:
    event = NewEvent(n, 1, 5, None, 0 if n == 1 else 7, 0, 0, b"")
    return Commit(
        execution=execution_id(n, 1), status=status, position=position, entries=tuple(entries), events=[event],  # type: ignore[arg-type]
        started=1_000, ended=3_000,
    )  # fmt: skip


def test_what_is_durable_counts_and_what_is_refused_does_not() -> None:
    counted = counts()
    for position in (1, 2, 3):
        counted.appended(commit(position, Status.DONE))
    counted.durable(BatchOutcome(0, [], {}, []))
    assert value(counted, "onstage_executions", handler="shop.take", outcome="done") == 0
    refused = Refusal(commit(2, Status.DONE), RefusedBecause.CONFLICT)
    counted.durable(BatchOutcome(2, [refused], {}, [Closed(1, "paid", 0, True), Closed(2, None, 0, True)]))
    assert value(counted, "onstage_executions", handler="shop.take", outcome="done") == 1
    assert value(counted, "onstage_events", type="placed", origin="outside") == 1
    assert value(counted, "onstage_processes_ended", outcome="paid") == 1
    assert value(counted, "onstage_processes_ended", outcome="none") == 1
    counted.durable(BatchOutcome(3, [], {}, []))
    assert value(counted, "onstage_executions", handler="shop.take", outcome="done") == 2


def test_each_outcome_of_a_run_has_its_counter() -> None:
    counted = counts()
    outcomes = (Status.RUNNING, Status.WAITING, Status.RETRYING, Status.PARKED, Status.DIVERGED, Status.REJECTED)
    for position, status in enumerate(outcomes, 1):
        counted.appended(commit(position, status, n=2))
    counted.appended(Commit(position=7))
    counted.durable(BatchOutcome(7, [], {}, []))
    assert value(counted, "onstage_execution_waits", handler="shop.take") == 1
    assert value(counted, "onstage_execution_retries", handler="shop.take") == 1
    assert value(counted, "onstage_dead_letters", handler="shop.take") == 2
    assert value(counted, "onstage_executions", handler="shop.take", outcome="rejected") == 1
    assert value(counted, "onstage_execution_duration_seconds", handler="shop.take") == 1
    assert value(counted, "onstage_events", type="placed", origin="handler") == 6


def test_attempts_are_counted_by_step_also_below_a_branch() -> None:
    counted = counts()
    entries = (
        Stepped("gather#0/2/charge#1", 0, b"", 0, 1, 0),
        Attempted("charge#0", 0, 1, 0, "no", 0),
        Attempted("charge#0", 0, 0, 0, "opened anew", 0),
        Failed("book#0", 0, None, None, "no", 3),
    )
    counted.appended(commit(1, Status.RUNNING, *entries))
    counted.durable(BatchOutcome(1, [], {1: Transacted("book#1", 0, b"", 0)}, []))
    assert value(counted, "onstage_step_attempts", step="charge", outcome="done") == 1
    assert value(counted, "onstage_step_attempts", step="charge", outcome="failed") == 1
    assert value(counted, "onstage_step_attempts", step="book", outcome="gave up") == 1
    assert value(counted, "onstage_step_attempts", step="book", outcome="done") == 1


def test_a_value_on_the_border_is_in_the_lower_bucket() -> None:
    histogram = Histogram()
    histogram.observe(DURATIONS_S[0])
    assert histogram.samples(())[0].value == 1

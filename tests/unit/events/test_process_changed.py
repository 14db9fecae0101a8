from dataclasses import fields
from datetime import UTC, datetime

import pytest

from onstage import App, Service, verdicts
from onstage.events.event import event_type
from onstage.events.process_changed import (
    CHANGED_PREFIX,
    CHANGED_TYPES,
    TOLD_TYPES,
    ProcessChanged,
    ProcessOverdue,
    ProcessStuck,
)

SAID = {
    "process": "store-life-1",
    "declared": "order",
    "key": "o1",
    "number": 3,
    "at": datetime(2026, 1, 2, tzinfo=UTC),
    "reason": "why",
}


@pytest.mark.parametrize("kind", CHANGED_TYPES)
def test_each_change_is_an_event_of_onstage_s_own(kind: str) -> None:
    known = CHANGED_TYPES[kind]
    assert known.name == f"{CHANGED_PREFIX}{kind}"
    assert known is event_type(known.cls)
    assert issubclass(known.cls, ProcessChanged)
    assert known.key is None
    assert {field.name for field in fields(known.cls)} >= SAID.keys()


def test_a_change_is_read_as_it_was_written() -> None:
    known = CHANGED_TYPES["overdue"]
    late = ProcessOverdue(**SAID, milestone="order-paid", due=datetime(2026, 1, 1, tzinfo=UTC), owed_by=("payment",))
    assert known.decode(known.encode(late)) == late


def test_the_public_module_has_all_of_them() -> None:
    classes = {known.cls.__name__ for known in TOLD_TYPES}
    assert set(verdicts.__all__) == {*classes, "ProcessChanged"}
    assert all(getattr(verdicts, known.cls.__name__) is known.cls for known in TOLD_TYPES)


def test_a_handler_of_changes_does_not_gate_and_a_pattern_of_onstage_s_own_hears_them() -> None:
    alerts = Service("alerts")

    @alerts.on(ProcessStuck)
    async def one(e: ProcessStuck) -> None: ...

    @alerts.on("onstage.process.>")
    async def every(e: object) -> None: ...

    manifest = App(alerts).manifest
    assert [handler.gating for handler in manifest.handlers] == [False, False]
    assert {known.name for known in manifest.types} == {known.name for known in TOLD_TYPES}


def test_a_pattern_of_everything_else_does_not_hear_them() -> None:
    audit = Service("audit")

    @audit.on(">")
    async def every(e: object) -> None: ...

    assert App(audit).manifest.types == ()

from typing import Any

from onstage.web.process_panes import chosen_in, drawing_of, failures_only, flow_of
from onstage.web.shown import EventNode, ExecutionBar, Expected, ProcessHead, ProcessPage, Standing, StepBar

T0 = 1_700_000_000_000


def event(n: int, *, cause: int = 0, data: str = "{}") -> EventNode:
    return EventNode(
        n=n, id=f"id-{n}", type=f"type-{n}", version=1, key="o-1", at_ms=T0 + n, cause=cause, from_service=None,
        from_outside=not cause, data=data, truncated=False, headers={},
    )  # fmt: skip


def run(id: int, event: int, **changed: Any) -> ExecutionBar:
    given: dict[str, Any] = {
        "id": id, "event": event, "handler": f"svc.h{id}", "service": "svc", "status": "done", "gating": True,
        "attempts": 1, "start_ms": T0 + event, "end_ms": T0 + event + 5, "due_ms": None, "waits": (), "error": None,
        "code": 0, "steps": (), "emitted": (),
    }  # fmt: skip
    return ExecutionBar(**given | changed)


def page(events: list[EventNode], runs: list[ExecutionBar], *expected: Expected, open: int = 1) -> ProcessPage:
    head = ProcessHead(
        process="p-1", number=1, key="o-1", type="order", declared="order", verdict="stuck", outcome=None, reasons=(),
        until_ms=None, open=open, started_ms=T0, ended_ms=None,
    )  # fmt: skip
    return ProcessPage(
        standing=Standing(store="a.db", kind="whole", running=True, acts=True, now_ms=T0 + 60_000),
        head=head, milestones=(), violated=(), expected=expected, lanes=("svc",), events=tuple(events),
        executions=tuple(runs), folds=(), states=(),
    )  # fmt: skip


STUCK = page(
    [event(1), event(2, cause=10), event(3, cause=11)],
    [
        run(10, 1, emitted=(2,)),
        run(11, 1, emitted=(3,)),
        run(12, 2, status="dead letter", end_ms=None, error="Boom: bad\n  at a.py:1", failed=True),
        run(13, 3),
    ],
    Expected(type="paid", kind="emits", handler="svc.h12", execution=12, until_ms=None, from_outside=False),
    Expected(type="late", kind="milestone", handler=None, execution=None, until_ms=T0, from_outside=True),
)


def test_the_flow_is_the_tree_with_what_has_not_come_in_its_place() -> None:
    lines = flow_of(STUCK)
    said = [(line.depth, line.node or (line.missing.type if line.missing else "")) for line in lines]
    assert said == [
        (0, "e1"), (1, "x10"), (2, "e2"), (3, "x12"), (4, "paid"), (1, "x11"), (2, "e3"), (3, "x13"), (0, "late"),
    ]  # fmt: skip
    assert lines[3].words == "dead letter: Boom: bad"


def test_a_chain_of_thousands_is_walked_like_any_other() -> None:
    events = [event(1)] + [event(n, cause=n - 1 + 10_000) for n in range(2, 3001)]
    runs = [run(n + 10_000, n, emitted=(n + 1,)) for n in range(1, 3000)]
    lines = flow_of(page(events, runs))
    assert len(lines) == 5999
    assert max(line.depth for line in lines) == 24


def test_what_was_set_aside_is_selected_by_itself() -> None:
    found = chosen_in(STUCK)
    assert (found.node, found.run and found.run.id, found.of and found.of.n) == ("x12", 12, 2)


def test_an_event_is_selected_with_who_emitted_and_who_handled_it() -> None:
    found = chosen_in(STUCK, event=2)
    assert found.by is not None
    assert (found.node, found.by.id, [each.id for each in found.handled]) == ("e2", 10, [12])


def test_what_is_not_there_selects_nothing() -> None:
    assert chosen_in(STUCK, execution=99).node == ""
    assert chosen_in(STUCK, event=99).node == ""


def test_failures_only_keeps_what_led_to_them() -> None:
    found = failures_only(STUCK)
    assert [each.id for each in found.executions] == [10, 12]
    assert [each.n for each in found.events] == [1, 2]


def test_the_drawing_has_everything_that_ran_and_its_retries() -> None:
    retried = StepBar(
        position="charge#0", kind="step", state="retrying", text="", attempts=2, start_ms=T0 + 3, end_ms=None, error="x"
    )
    drawing = drawing_of(page([event(1)], [run(10, 1, steps=(retried,), end_ms=None, status="retrying")]))
    assert [bar.run.tone for bar in drawing.bars] == ["waiting"]
    assert len(drawing.bars[0].retries) == 1
    assert drawing.now is not None

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.contracts.manifest import ProcessManifest
from onstage.events.codec import DecodeFailed
from onstage.events.receipt import Status
from onstage.observe.progress import (
    UNDECLARED,
    Change,
    Heard,
    Progress,
    decode_progress,
    encode_progress,
    plan_of,
)

PLAN = plan_of(
    ProcessManifest(
        name="order",
        starts=("placed",),
        done=("shipped",),
        failed=("lost",),
        within_s={"paid": 60.0, "packed": 90.0},
        deadline_s=100.0,
    )
)
A, B = b"a" * 16, b"b" * 16
OPEN, DONE, PARKED = int(Status.READY), int(Status.DONE), int(Status.PARKED)


def heard(at: int, delta: bytes, *types: str, status: int = DONE, obligation: str = "1/shop.bill") -> Heard:
    return Heard(at, obligation, status, delta, types)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(one, other, strict=True))


def begun() -> Progress:
    progress = Progress()
    assert progress.hear(PLAN, heard(1_000, A, "placed", status=OPEN)) == []
    return progress


def said(changes: list[Change]) -> list[tuple[str, int, str | None]]:
    return [(change.kind, change.number, change.milestone) for change in changes]


def test_milestones_and_deadline_count_from_the_start() -> None:
    progress = begun()
    assert progress.due == {"paid": 61_000, "packed": 91_000}
    assert progress.deadline == 101_000
    assert progress.next_due == 61_001
    assert progress.state == "open"


def test_a_milestone_may_come_in_its_last_millisecond() -> None:
    progress = begun()
    assert progress.lapse(61_000) == []
    assert progress.hear(PLAN, heard(61_000, xor(A, B), "paid")) == []
    assert progress.lapse(70_000) == []
    assert progress.state == "open"


def test_a_late_milestone_is_told_once_and_lifted_when_it_comes() -> None:
    progress = begun()
    late = progress.lapse(61_001)
    assert said(late) == [("overdue", 1, "paid")]
    assert late[0].due == late[0].at == 61_000
    assert progress.lapse(62_000) == []
    assert (progress.state, progress.late) == ("overdue", ["paid"])
    assert progress.hear(PLAN, heard(63_000, xor(A, B), "paid")) == []
    assert (progress.state, progress.late, progress.seen) == ("open", [], {"paid": 63_000})


def test_one_that_came_late_while_nobody_looked_is_told_all_the_same() -> None:
    progress = begun()
    assert said(progress.hear(PLAN, heard(63_000, xor(A, B), "paid"))) == [("overdue", 1, "paid")]
    assert progress.state == "open"


def test_an_outcome_ends_what_is_owed_and_tells_what_was_late_by_then() -> None:
    progress = begun()
    changes = progress.hear(PLAN, heard(70_000, A, "shipped"))
    assert said(changes) == [("overdue", 1, "paid"), ("completed", 2, None)]
    assert changes[1].outcome == "shipped"
    assert (progress.state, progress.over, progress.owed, progress.next_due) == ("completed", "met", [], None)
    assert progress.lapse(200_000) == []


def test_a_dead_end_is_told_and_may_still_become_an_end() -> None:
    progress = begun()
    assert said(progress.hear(PLAN, heard(2_000, A))) == [("dead-end", 1, None)]
    assert progress.state == "dead end"
    assert said(progress.hear(PLAN, heard(3_000, bytes(16), "lost", status=OPEN))) == [("completed", 2, None)]
    assert progress.state == "completed"


def test_extra_input_after_the_end_is_told_as_such() -> None:
    progress = begun()
    progress.hear(PLAN, heard(2_000, A, "shipped"))
    assert said(progress.hear(PLAN, heard(3_000, B, "asked", status=OPEN))) == [("reopened", 2, None)]
    assert said(progress.hear(PLAN, heard(4_000, B))) == [("completed", 3, None)]


def test_what_is_set_aside_makes_it_stuck_until_it_goes_on() -> None:
    progress = begun()
    stuck = progress.hear(PLAN, Heard(2_000, "1/shop.bill", PARKED, bytes(16), (), "Boom: no\nmore", "shop.bill"))
    assert said(stuck) == [("stuck", 1, None)]
    assert stuck[0].reason == "shop.bill is a dead letter: Boom: no"
    assert progress.hear(PLAN, heard(2_500, bytes(16), status=PARKED, obligation="1/shop.pack")) == []
    progress.hear(PLAN, heard(3_000, bytes(16), status=OPEN))
    assert progress.state == "stuck"
    progress.hear(PLAN, heard(3_000, bytes(16), status=OPEN, obligation="1/shop.pack"))
    assert progress.state == "open"
    assert said(progress.hear(PLAN, heard(4_000, bytes(16), status=PARKED))) == [("stuck", 2, None)]


def test_what_nobody_declares_can_be_stuck_and_nothing_else() -> None:
    progress = Progress()
    assert said(progress.hear(UNDECLARED, heard(1, A, "placed", status=PARKED))) == [("stuck", 1, None)]
    assert progress.hear(UNDECLARED, heard(2, A)) == []
    assert progress.state == "open"


@pytest.mark.parametrize(("over", "told"), [("late", []), ("passed", ["overdue"]), ("failed", ["overdue"])])
def test_what_came_of_the_deadline_is_told_unless_an_event_says_it(over: str, told: list[str]) -> None:
    progress = begun()
    progress.lapse(95_000)
    assert progress.next_due == 101_000
    assert [change.kind for change in progress.passed(101_000, over, "why")] == told
    assert progress.next_due is None
    assert progress.is_past_deadline == bool(told)
    progress.hear(PLAN, heard(102_000, A, "lost"))
    assert not progress.is_past_deadline
    assert progress.over == over


def test_a_row_is_read_as_it_was_written_and_other_bytes_are_none() -> None:
    progress = begun()
    progress.hear(PLAN, heard(2_000, B, status=PARKED))
    assert decode_progress(encode_progress(progress)) == progress
    with pytest.raises(DecodeFailed, match="progress of a process"):
        decode_progress(b"\x01")


def test_the_order_of_unrelated_receipts_changes_no_row() -> None:
    root = heard(1_000, A, "placed", status=OPEN)
    rest = [heard(2_000, xor(A, B), "paid"), heard(3_000, bytes(16), "packed"), heard(4_000, B, "shipped")]
    rows = set[bytes]()
    for order in permutations(rest):
        progress = Progress()
        for each in (root, *order):
            progress.hear(PLAN, each)
        progress.told, progress.count = [], 0
        progress.seen = dict(sorted(progress.seen.items()))
        rows.add(encode_progress(progress))
    assert len(rows) == 1


TYPES = st.sampled_from(["placed", "paid", "packed", "shipped", "lost", "other"])
STEPS = st.tuples(
    st.integers(0, 60_000), st.sampled_from([A, B, bytes(16)]), TYPES, st.sampled_from([OPEN, DONE, PARKED])
)


@given(st.lists(STEPS, max_size=12), st.sets(st.integers(0, 12)))
def test_looking_at_the_time_in_between_and_writing_it_down_changes_nothing(
    steps: list[tuple[int, bytes, str, int]], looks: set[int]
) -> None:
    """Whoever looks often says the same in all as whoever was down and hears everything later."""
    often, seldom = Progress(), Progress()
    told: dict[str, list[tuple[str, str | None]]] = {"often": [], "seldom": []}
    at = 0
    for place, (pause, delta, name, status) in enumerate(steps):
        if place in looks:
            told["often"] += [(change.kind, change.milestone) for change in often.lapse(at + pause)]
            often = decode_progress(encode_progress(often))
        at += pause
        each = heard(at, delta, name, status=status)
        told["often"] += [(change.kind, change.milestone) for change in often.hear(PLAN, each)]
        told["seldom"] += [(change.kind, change.milestone) for change in seldom.hear(PLAN, each)]
    for name, progress in (("often", often), ("seldom", seldom)):
        told[name] += [(change.kind, change.milestone) for change in progress.lapse(at)]
    assert sorted(told["often"], key=str) == sorted(told["seldom"], key=str)
    assert often.state == seldom.state
    assert often.next_due == seldom.next_due

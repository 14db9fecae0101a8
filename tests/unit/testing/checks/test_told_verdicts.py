"""I7: what may be said of a process."""

import msgspec
import pytest
from tests.unit.testing.checks.filing import File

from onstage.contracts.manifest import AppManifest, HandlerManifest
from onstage.events.receipt import Status
from onstage.observe.progress import Progress, encode_progress
from onstage.testing.checks.told_verdicts import truths


@pytest.mark.parametrize(
    ("statuses", "true"),
    [
        ((), {"dead end"}),
        ((Status.WAITING, Status.RETRYING), {"waiting"}),
        ((Status.READY, Status.WAITING), {"running"}),
        ((Status.READY, Status.PARKED), {"stuck"}),
        ((Status.DIVERGED,), {"stuck"}),
    ],
)
def test_what_is_open_decides(file: File, statuses: tuple[Status, ...], true: set[str]) -> None:
    file.process(1, is_open=len(statuses))
    for n, status in enumerate(statuses, 1):
        file.execution(n, status, process=1)
    assert truths(file.rows, "p1") == true


def test_what_is_overdue_is_stuck_while_it_is_open(file: File) -> None:
    late = Progress(begun=1, due={"a.mile": 2}, told=["a.mile"])
    row = "insert into onstage_progress (process, version, state, body) values (1, 1, 'overdue', ?)"
    file.do(row, encode_progress(late))
    file.process(1, is_open=1)
    file.execution(1, Status.WAITING)
    assert truths(file.rows, "p1") == {"stuck"}
    file.do("update onstage_process set open = 0")
    assert truths(file.rows, "p1") == {"dead end"}


def test_behind_a_dead_letter_of_another_process_both_are_true(file: File) -> None:
    file.process(1, is_open=1)
    file.execution(1, Status.READY)
    file.execution(2, Status.PARKED)
    assert truths(file.rows, "p1") == {"running", "stuck"}


def test_an_outcome_is_completion_and_nothing_is_true_of_the_unknown(file: File) -> None:
    file.process(1, outcome="a.end")
    assert truths(file.rows, "p1") == {"completed"}
    assert truths(file.rows, "p2") == set()


def declared(file: File, handler: str) -> None:
    shop = HandlerManifest(name=handler, service="shop", triggers=("a.b",))
    body = msgspec.json.encode(AppManifest(handlers=(shop,)))
    file.do("insert into onstage_topology values (1, 'd', ?, 0)", b"digest\n" + body)


def test_what_is_paused_waits_and_may_stand_behind_a_dead_letter(file: File) -> None:
    def pause(name: str) -> None:
        file.do("insert or replace into onstage_note values ('paused', 0, ?)", msgspec.msgpack.encode({name: None}))

    file.process(1, is_open=1)
    file.execution(1, Status.READY)
    for name, true in (("shop.take", "waiting"), ("shop", "waiting"), ("shop.wait", "running")):
        pause(name)
        assert truths(file.rows, "p1") == {true}
    pause("shop")
    file.execution(2, Status.PARKED)
    assert truths(file.rows, "p1") == {"waiting", "stuck"}


def test_what_no_code_handles_any_more_is_stuck(file: File) -> None:
    file.process(1, is_open=1)
    file.execution(1, Status.READY)
    declared(file, "shop.take")
    assert truths(file.rows, "p1") == {"running"}
    file.do("delete from onstage_topology")
    declared(file, "shop.other")
    assert truths(file.rows, "p1") == {"stuck"}

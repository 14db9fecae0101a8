"""I1: what is not delivered, not ended or not heard is seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Asked, WaitEnded
from onstage.events.receipt import Status
from onstage.testing.checks.no_loss import not_delivered, not_ended, unheard

SUBSCRIBED, WAITING = {"a.b": [1]}, {"a.end": [2]}


def test_each_event_is_at_each_handler_and_in_each_mailbox(file: File) -> None:
    file.event(1)
    file.event(2, type=2, process=1)
    missing = list(not_delivered(file.look(), SUBSCRIBED, WAITING))
    assert missing == ["obligations are missing: [65537]", "mail is missing (handler, process, event): [(2, 1, 2)]"]
    file.execution(1, Status.DONE)
    file.do("insert into onstage_mail values (2, 1, 2, 0)")
    assert list(not_delivered(file.look(), SUBSCRIBED, WAITING)) == []
    assert len(list(not_delivered(file.look(), {}, {}))) == 2


def test_what_is_open_or_was_dropped_for_no_reason_is_seen(file: File) -> None:
    file.execution(1, Status.WAITING)
    dropped = file.execution(2, Status.DROPPED)
    assert list(not_ended(file.look(), ())) == [
        "execution 65537 is still waiting",
        "execution 131073 was dropped, and nobody asked for it",
    ]
    assert len(list(not_ended(file.look(), {dropped}))) == 1


def test_a_wait_that_does_not_take_its_mail_is_seen(file: File) -> None:
    file.event(2, type=2, process=1)
    file.do("insert into onstage_mail values (2, 1, 2, 0)")
    file.execution(1, Status.WAITING, WaitEnded("wait#0", 7, "a.end", b""), handler=2, waits="a.end a.more")
    assert list(unheard(file.rows)) == ["execution 65538 waits, and event 2 is there"]
    file.do("update onstage_execution set waits = 'a.more'")
    assert list(unheard(file.rows)) == []


def test_mail_that_was_taken_is_not_waited_for(file: File) -> None:
    file.event(2, type=2, process=1)
    file.do("insert into onstage_mail values (2, 1, 2, 0)")
    file.execution(1, Status.WAITING, WaitEnded("wait#0", 2, "a.end", b""), handler=2, waits="a.end")
    assert list(unheard(file.rows)) == []


def test_an_answer_that_is_not_taken_is_seen_and_that_to_another_request_is_not(file: File) -> None:
    file.event(2, type=2, process=1)
    file.event(3, type=2, process=1)
    file.do("insert into onstage_mail values (2, 1, 3, 2)")
    file.do("insert into onstage_mail values (0, 1, 3, 2)")
    file.execution(1, Status.WAITING, Asked("ask x#0", 0, 2, None), handler=2, waits="a.end")
    assert list(unheard(file.rows)) == ["execution 65538 waits, and the answer to event 2 is there"]
    file.do("update onstage_mail set about = 9")
    assert list(unheard(file.rows)) == []

"""Requests that are answered twice, not at all, or with something else are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Answered, Asked, Entry
from onstage.events.receipt import Status
from onstage.testing.checks.request_answers import answers_of, wrongly_answered

VALUE = b'{"about":"x","value":1}'


def asked(file: File, *answers: int, status: Status = Status.DONE, data: bytes = VALUE) -> None:
    """Event 2 is a request, which handler 2 has handled and answered by these events."""
    file.do("insert or ignore into onstage_type values (9, 'onstage.answer/a.b', 1)")
    file.event(2)
    cause = file.execution(2, status, handler=2)
    for n in answers:
        file.event(n, type=9, cause=cause)
        file.do("update onstage_event set data = ? where n = ?", data, n)


def found(file: File) -> list[str]:
    return list(wrongly_answered(file.look()))


def test_one_answer_is_as_it_should_be(file: File) -> None:
    asked(file, 5)
    file.execution(1, Status.DONE, Asked("ask#0", 1, 2, None), Answered("ask#0", 1, 5, VALUE))
    assert found(file) == []
    assert answers_of(file.look()) == {2: [5]}


def test_two_answers_and_none_are_seen(file: File) -> None:
    asked(file, 5, 6)
    assert found(file) == ["request 2 was answered 2 times: [5, 6]"]
    file.event(7)
    file.execution(7, Status.DONE, handler=2)
    assert "request 7 was handled and is done, and has no answer" in found(file)


def test_an_answer_says_what_became_of_the_request(file: File) -> None:
    asked(file, 5, status=Status.REJECTED)
    assert found(file) == ["request 2 was handled and is rejected, and its answer says a value"]


def test_what_was_taken_is_what_was_answered(file: File) -> None:
    asked(file, 5)

    def taken(*entries: Entry) -> str:
        file.do("delete from onstage_entry")
        file.do("delete from onstage_execution where id = ?", 1 << 16 | 1)
        file.execution(1, Status.DONE, *entries)
        (what,) = found(file)
        return what

    ask = Asked("ask#0", 1, 2, None)
    assert "took another answer" in taken(ask, Answered("ask#0", 1, 5, b"{}"))
    assert "no answer to 2" in taken(ask, Answered("ask#0", 1, 4, b"{}"))
    assert "has no deadline" in taken(ask, Answered("ask#0", 1, 0, b""))
    assert "never asked" in taken(Answered("ask#0", 1, 5, VALUE))
    assert "asked twice" in taken(ask, ask)

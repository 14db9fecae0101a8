"""Versions of a keyed state that are missing, written twice, or read before they were there are seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import StateRead, StateWritten
from onstage.events.receipt import Status
from onstage.testing.checks.keyed_states import states_of, versions_with_gaps, writers_of


def found(file: File) -> list[str]:
    return list(versions_with_gaps(file.look(), "shop"))


def test_versions_come_one_after_the_other(file: File) -> None:
    file.event(1)
    file.event(2)
    file.do("insert into onstage_state values ('shop.Cart', 'k', 2, 0, x'7b7d', 1, 0)")
    first = file.execution(1, Status.DONE, StateRead("state#0", 1, 0, 0, None), StateWritten("set#0", 1, 1))
    second = file.execution(2, Status.DONE, StateRead("state#0", 1, 1, 0, b"{}"), StateWritten("set#0", 1, 2))
    assert found(file) == []
    assert writers_of(file.look(), "shop") == {"k": [(1, first), (2, second)]}
    assert states_of(file.look()) == {("shop.Cart", "k"): (2, b"{}")}
    file.do("update onstage_state set version = 3")
    assert found(file) == ["the state of k is version 3, and was written as [1, 2]"]


def test_a_version_that_was_not_there_cannot_be_read(file: File) -> None:
    file.event(1)
    file.execution(1, Status.DONE, StateRead("state#0", 1, 4, 0, b"{}"))
    assert found(file) == ["execution 65537 has read versions [4], the newest is 0"]

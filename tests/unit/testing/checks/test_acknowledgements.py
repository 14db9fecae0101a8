"""I10: acknowledged events that are not there are seen."""

from tests.unit.testing.checks.filing import File

from onstage.testing.checks.acknowledgements import at_the_door, is_durable, lost


def test_what_was_told_is_there(file: File) -> None:
    file.event(1)
    file.process(1)
    file.do("insert into onstage_door values (?, 1, ?)", b"id", b"hash")
    assert is_durable(file.rows, b"id")
    assert not is_durable(file.rows, b"other")
    assert at_the_door(file.rows) == {b"id": 1}
    assert list(lost(file.look(), [(b"id", "p1", "it")])) == []
    assert list(lost(file.look(), [(b"other", "p1", "it"), (b"id", "p9", "this")])) == [
        "it was acknowledged and is lost",
        "this was acknowledged as part of p9, which is lost",
    ]
    file.do("insert into onstage_door values (?, 1, ?)", b"twin", b"hash")
    assert list(lost(file.look(), [])) == ["an event stands at the door under two identities"]

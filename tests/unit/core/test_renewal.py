"""What is left of a journal that began anew."""

from onstage.core.journal import Continued, Entry, StateSet, Stepped, Undone
from onstage.core.renewal import renewed

CONTINUED = Continued("continue", b'"b"')


def step(position: str, undo: str | None = "shop.unmake") -> Stepped:
    return Stepped(position, 0, b"1", 0, 1, 0, undo)


def recorded(*entries: Entry) -> dict[str, Entry]:
    return {entry.position: entry for entry in entries}


def test_steps_with_an_undo_are_kept_under_positions_of_their_own() -> None:
    first = renewed(None, recorded(step("make#0"), step("plain#0", None)), CONTINUED, 3)
    second = renewed(first, recorded(step("make#0")), CONTINUED, 5)
    assert [entry.position for entry in second.finished] == ["3/make#0", "5/make#0"]
    assert second.length == 5
    assert second.entry is CONTINUED


def test_what_was_undone_is_not_undone_again() -> None:
    journal = recorded(step("scope s#0/0/make#0"), Undone("undo/scope s#0/0/make#0"), step("make#0"))
    assert [entry.position for entry in renewed(None, journal, CONTINUED, 3).finished] == ["3/make#0"]


def test_the_newest_of_what_is_shown_is_kept() -> None:
    first = renewed(
        None, recorded(StateSet("state a#0", 0, "a", b"1"), StateSet("state b#0", 0, "b", b"2")), CONTINUED, 3
    )
    second = renewed(first, recorded(StateSet("state a#0", 0, "a", b"3")), CONTINUED, 5)
    assert second.shown == {"a": b"3", "b": b"2"}
    assert first.shown == {"a": b"1", "b": b"2"}

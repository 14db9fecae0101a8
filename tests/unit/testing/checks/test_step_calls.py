"""I3: steps under other keys, under shared keys, or recorded and never seen."""

from tests.unit.testing.checks.filing import File

from onstage.core.journal import Begun, Continued, Forked, Stepped, Undone
from onstage.events.receipt import Status
from onstage.testing.checks.step_calls import changed_keys, is_over, never_happened, shared_keys, taken_from

STEPPED = Stepped("charge#0", 1, b"", 1, 1, 1)


def test_a_step_is_over_when_its_end_is_recorded() -> None:
    assert not is_over([Begun("charge#0", 1, "refund", b"")], "charge#0")
    assert is_over([STEPPED], "charge#0")
    assert not is_over([STEPPED], "charge#1")
    assert is_over([Undone("undo/charge#0")], "undo/charge#0")


def test_a_result_without_an_effect_is_seen(file: File) -> None:
    x = file.execution(1, Status.DONE, STEPPED)
    assert list(never_happened(file.look(), {(x, "charge#0")})) == []
    assert list(never_happened(file.look(), set())) == [f"charge#0 of execution {x} is recorded and never happened"]


def test_a_key_belongs_to_one_call_and_a_call_has_one_key() -> None:
    assert list(changed_keys([(1, "k"), (1, "k"), (2, "l")])) == []
    assert list(changed_keys([(1, "k"), (1, "l")])) == ["1 ran under several keys: ['k', 'l']"]
    assert list(shared_keys([(1, "k"), (1, "k")])) == []
    assert list(shared_keys([(1, "k"), (2, "k")])) == ["the key k was used by several: ['1', '2']"]


def test_a_step_belongs_to_the_first_execution_of_which_it_was_taken_over() -> None:
    fork = [STEPPED, Forked("", "a", "end"), Forked("", "b", "end")]
    assert taken_from(fork, "charge#0") == "a"
    assert taken_from(fork, "ship#0") is None
    assert taken_from([Forked("", "a", "end"), STEPPED], "charge#0") is None
    assert taken_from([STEPPED, Forked("", "a", "end"), STEPPED], "charge#0") is None


def test_a_step_of_before_the_journal_began_anew_is_found_by_its_length() -> None:
    renewed = [STEPPED, Continued("", b""), STEPPED, Continued("", b""), Forked("", "a", "end")]
    assert taken_from(renewed, "2/charge#0") == taken_from(renewed, "4/charge#0") == "a"
    assert taken_from([*renewed, STEPPED], "charge#0") is None
    assert taken_from([STEPPED, Forked("", "a", "end"), Continued("", b""), STEPPED], "3/charge#0") == "a"
    assert taken_from([Forked("", "a", "end"), STEPPED, Continued("", b"")], "3/charge#0") is None

"""Tapes: the same choices from a seed, from earlier values, and duller ones from fewer."""

from onstage.testing.world.tape import Tape


def drawn(tape: Tape) -> list[int]:
    one, other = tape.stream("one"), tape.stream("other")
    return [value for _ in range(20) for value in (one.pick(7), int(other.hit(0.3)))]


def test_a_seed_repeats_itself() -> None:
    assert drawn(Tape(3)) == drawn(Tape(3))
    assert drawn(Tape(3)) != drawn(Tape(4))


def test_the_values_of_a_tape_give_the_same_choices() -> None:
    tape = Tape(3)
    choices = drawn(tape)
    assert any(choices)
    assert drawn(Tape(99, tape.values())) == choices


def test_beyond_its_end_a_tape_holds_zeros() -> None:
    tape = Tape(1, {"one": [5]})
    assert [tape.stream("one").pick(7) for _ in range(3)] == [5, 0, 0]
    assert not tape.stream("other").hit(1.0)
    assert tape.values() == {"one": [5]}


def test_streams_do_not_shift_each_other() -> None:
    alone, beside = Tape(3).stream("one"), Tape(3)
    beside.stream("other").pick(5)
    assert [alone.pick(9) for _ in range(9)] == [beside.stream("one").pick(9) for _ in range(9)]


def test_what_never_happens_takes_no_place() -> None:
    stream = Tape(1).stream("one")
    assert not stream.hit(0.0)
    assert stream.values == []

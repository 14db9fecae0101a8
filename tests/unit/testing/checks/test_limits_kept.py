"""Limits: too many within a window, and one who waits for more than turns explain, are seen."""

from onstage.testing.checks.limits_kept import too_many_within, waited_too_long
from onstage.testing.world.outside import Began


def began(execution: int, at_s: float, life: int = 1) -> Began:
    return Began("mill.serve", execution, f"e{execution}", life, at_s, 0)


def test_a_window_holds_so_many_wherever_it_begins() -> None:
    assert list(too_many_within([0.0, 5.0, 10.0], 1, 5.0)) == []
    assert list(too_many_within([7.0, 0.0, 3.0], 1, 5.0)) == ["2 began within 5.0 s of 0.000, and 1 may"]
    assert list(too_many_within([0.0, 0.1, 0.2, 4.0], 3, 1.0)) == []
    assert len(list(too_many_within([0.0, 0.1, 0.2, 4.0, 4.1, 4.2, 4.3], 3, 1.0))) == 1


def test_one_waits_for_its_turn_and_no_longer() -> None:
    many = [began(n, float(n)) for n in range(1, 6)]
    in_turn = [(each, False) for each in many] + [(began(9, 2.5), True)]
    assert list(waited_too_long(in_turn, [each for each, _ in in_turn])) == []
    late = [(each, False) for each in many] + [(began(9, 5.5), True)]
    everybody = [each for each, _ in late]
    assert list(waited_too_long(late, everybody)) == ["execution 9 began after 5 others of its crowd, and 0 more"]
    strangers = [began(20 + n, 4.5) for n in range(3)]
    assert list(waited_too_long(late, [*everybody, *strangers])) == [], "others may have been before it"


def test_a_new_life_gives_everybody_another_turn() -> None:
    many = [began(1, 1.0), began(2, 2.0), began(3, 3.0)]
    crowd = [(each, False) for each in many] + [(began(9, 4.0, life=2), True)]
    assert list(waited_too_long(crowd, [each for each, _ in crowd])) == []

"""Shrinking: what is left is what the failure needs."""

from onstage.testing.world.shrink import Values, shrink, size


def test_only_what_the_failure_needs_is_left() -> None:
    tape = {"plan": [3, 1, 4, 1, 5, 9, 2, 6], "faults": [1, 0, 1, 1], "order": [2] * 50}
    tried = []

    def fails(candidate: Values) -> bool:
        tried.append(candidate)
        return 9 in candidate.get("plan", ()) and sum(candidate.get("faults", ())) >= 2

    least = shrink(tape, fails)
    assert fails(least)
    assert size(least) == (3, len(least["plan"]) + len(least["faults"]))
    assert "order" not in least
    assert len(tried) <= 401


def test_a_tape_that_needs_all_of_it_stays() -> None:
    tape = {"plan": [1, 2]}
    assert shrink(tape, lambda candidate: candidate == tape) == tape


def test_shrinking_ends_after_so_many_tries() -> None:
    tried = []

    def fails(candidate: Values) -> bool:
        tried.append(candidate)
        return False

    shrink({"plan": list(range(1, 200))}, fails, tries=10)
    assert len(tried) == 10

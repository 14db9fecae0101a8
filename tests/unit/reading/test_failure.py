"""What is told when somebody cannot be shown what they asked for."""

from onstage.reading.failure import Exit, Failure


def test_a_failure_says_what_why_and_what_to_do_and_has_a_code() -> None:
    failure = Failure("no store", "nobody ran", "run it", code=Exit.UNREACHABLE)
    assert str(failure) == "no store\n  why: nobody ran\n  to do: run it"
    assert int(failure.code) == 3

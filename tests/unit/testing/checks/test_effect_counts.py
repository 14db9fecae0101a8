"""I2: effects that are there twice, or not at all, are seen."""

from onstage.testing.checks.effect_counts import not_once


def test_once_is_neither_twice_nor_never() -> None:
    assert list(not_once(["a", "b", "b"], {"a", "b", "c"})) == [
        "b happened 2 times",
        "c is owed, and did not happen",
    ]
    assert list(not_once(["a", "b"], {"a"})) == []

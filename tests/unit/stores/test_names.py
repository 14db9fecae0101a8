"""Who keeps which number when names change."""

from itertools import permutations

import pytest

from onstage.core.commit import HANDLERS_MAX
from onstage.errors import OperationError
from onstage.stores.names import check_count, interned, renames, retired


def applied(known: dict[str, int], declared: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, int]:
    known = dict(known)
    for old, new in renames(known, declared):
        assert new not in known
        known[new] = known.pop(old)
    return known


def test_a_chain_of_renamings_does_not_depend_on_the_order() -> None:
    declared = (("c", ("b",)), ("b", ("a",)), ("a", ()))
    for order in permutations(declared):
        assert applied({"a": 1, "b": 2}, order) == {"b": 1, "c": 2}


def test_a_name_that_is_known_is_not_renamed() -> None:
    assert applied({"a": 1, "b": 2}, (("b", ("a",)), ("a", ("b",)))) == {"a": 1, "b": 2}


def test_two_names_that_claim_each_other_come_to_an_end() -> None:
    assert applied({"a": 1}, (("a", ("b",)), ("b", ("a",)))) == {"b": 1}


def test_one_earlier_name_is_taken_over_once() -> None:
    assert applied({"a": 1}, (("x", ("a",)), ("y", ("a",)))) == {"x": 1}


def test_the_first_of_the_earlier_names_that_is_known_counts() -> None:
    assert applied({"a": 1, "b": 2}, (("x", ("gone", "b", "a")),)) == {"a": 1, "x": 2}


def test_what_nobody_declares_is_retired() -> None:
    assert retired({"a": 1, "b": 2}, (("b", ()),)) == {1: "a"}


def test_more_handlers_than_numbers_are_refused() -> None:
    check_count({"a": HANDLERS_MAX})
    with pytest.raises(OperationError, match="to do"):
        check_count({"a": HANDLERS_MAX + 1})


def test_a_number_is_given_once_for_ever() -> None:
    assert interned({"a": 1}, (("b", ("a",)), ("c", ())), 4) == ({"b": 1, "c": 5}, 5)
    assert interned({}, (), 4) == ({}, 4)
    with pytest.raises(OperationError, match="at most"):
        interned({}, (("a", ()),), HANDLERS_MAX)

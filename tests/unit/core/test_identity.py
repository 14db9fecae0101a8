"""Public ids of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.identity import Identity, number_in

IDENTITY = Identity("store", ((1, "aa"), (5, "bb"), (5, "cc"), (9, "dd")))


@pytest.mark.parametrize(
    ("n", "wire"), [(1, "store-aa-1"), (4, "store-aa-4"), (5, "store-cc-5"), (8, "store-cc-8"), (9, "store-dd-9")]
)
def test_a_number_belongs_to_the_last_incarnation_that_began_at_or_before_it(n: int, wire: str) -> None:
    assert IDENTITY.wire(n) == wire


def test_a_number_from_before_the_first_incarnation_that_is_known_is_taken_for_its() -> None:
    assert Identity("store", ((3, "aa"), (5, "bb"))).wire(1) == "store-aa-1"


@given(st.integers(1, 10**12))
def test_an_id_leads_back_to_its_number(n: int) -> None:
    assert IDENTITY.local(IDENTITY.wire(n)) == n


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "store-aa-", "store-aa-x", "store-aa-01", "store-bb-5", "other-aa-1", "store-aa-5", "store-aa-٣"),
        "store-aa-²",  # a digit to `isdigit`, none to `int`
    ],
)
def test_any_other_text_is_none_of_ours(text: str) -> None:
    assert IDENTITY.local(text) is None


@pytest.mark.parametrize("digits", ["²", "9" * 19, "1" * 5_000])  # no digit, more than 63 bits, more than int() reads
def test_a_number_that_no_store_has_is_none_of_ours(digits: str) -> None:
    assert IDENTITY.local(f"store-dd-{digits}") is None
    assert number_in(digits) is None


@pytest.mark.parametrize(("text", "number"), [("a-b-7", 7), ("7", 7), ("a-" + "9" * 18, 10**18 - 1)])
def test_a_number_is_read_off_the_end_of_an_id(text: str, number: int) -> None:
    assert number_in(text) == number


def test_a_number_given_again_after_a_restore_has_another_id() -> None:
    before, after = Identity("store", ((1, "aa"),)), Identity("store", ((1, "aa"), (3, "bb")))
    assert before.wire(3) != after.wire(3)
    assert after.local(before.wire(3)) is None

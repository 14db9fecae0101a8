"""Rules that contradict each other, each way round, and those that look alike and do not."""

from dataclasses import dataclass

import pytest

from onstage import event
from onstage.contracts.contradiction import refuse_contradictory
from onstage.contracts.rule import WrittenRule
from onstage.errors import DefinitionError
from onstage.expectations import (
    at_least,
    at_most_once,
    before,
    both_or_neither,
    ends_with,
    every,
    exactly_once,
    exactly_one_of,
    never,
    never_both,
    only_if,
    starts_with,
)


@event("y.a")
@dataclass(frozen=True)
class A:
    id: str


@event("y.b")
@dataclass(frozen=True)
class B:
    id: str


@event("y.c")
@dataclass(frozen=True)
class C:
    id: str


TORN = [
    (starts_with(A), starts_with(B)),
    (ends_with(A), ends_with(B, C)),
    (never(A), exactly_once(A)),
    (never(A, B), exactly_one_of(A, B)),
    (never(B), every(A).leads_to(B)),
    (never(A), before(A, B)),
    (before(A, B), before(B, A)),
    (at_least(2, A), at_most_once(A, B)),
    (never_both(A, B), both_or_neither(A, B, C)),
    (never_both(A, B, C), every(A).leads_to(B, C)),
    (never_both(A, B), only_if(A, B)),
]

FINE = [
    (starts_with(A, B), starts_with(B, C)),
    (never(A), exactly_one_of(A, B)),
    (before(A, B), before(B, C)),
    (at_least(2, A, B), at_most_once(A)),
    (never_both(A, B), every(A).leads_to(B, C)),
    (every(A).leads_to(B), every(B).leads_to(A)),
    (never(C), every(A).forbids(C)),
]


@pytest.mark.parametrize("pair", TORN)
def test_what_cannot_hold_together_is_refused(pair: tuple[WrittenRule, WrittenRule]) -> None:
    for one, other in (pair, pair[::-1]):
        with pytest.raises(DefinitionError) as raised:
            refuse_contradictory("order", [one, other])
        what, why, mend = str(raised.value).splitlines()
        assert f"{other.rule.text} contradicts {one.rule.text}" in what
        assert why.startswith("  why: ")
        assert one.where in mend


@pytest.mark.parametrize("pair", FINE)
def test_what_can_hold_together_is_not(pair: tuple[WrittenRule, WrittenRule]) -> None:
    refuse_contradictory("order", pair)
    refuse_contradictory("order", pair[::-1])
    assert pair[0].rule.id != pair[1].rule.id

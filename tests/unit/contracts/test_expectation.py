"""Rules as people write them: their text, their place, and what is refused."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from onstage import App, Process, Service, event
from onstage.contracts.manifest import AppManifest, digest, from_stored
from onstage.contracts.validation import declared
from onstage.errors import DefinitionError
from onstage.expectations import (
    RULES_MAX,
    at_least,
    at_least_once,
    at_most,
    at_most_once,
    before,
    both_or_neither,
    directly_before,
    each_before,
    ends_with,
    every,
    exactly,
    exactly_once,
    exactly_one_of,
    expect,
    never,
    never_both,
    one_of,
    only_if,
    starts_with,
)


@event("x.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


@event("x.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


@event("x.shipped", key="id")
@dataclass(frozen=True)
class Shipped:
    id: str


@event("x.foreign", key="id")
@dataclass(frozen=True)
class Foreign:
    id: str


class Plain:
    pass


payment = Service("payment")


@payment.on(Placed)
async def take(e: Placed) -> Paid:
    return Paid(e.id)


@payment.on(Paid)
async def ship(e: Paid) -> Shipped:
    return Shipped(e.id)


order = Process("order", starts=Placed, done=Shipped)

WRITTEN = [
    (every(Placed).leads_to(Paid, Shipped, within="3d"), 'every(Placed).leads_to(Paid, Shipped, within="3d")'),
    (every(Placed, Paid).leads_to(Shipped, same_key=True), "every(Placed, Paid).leads_to(Shipped, same_key=True)"),
    (every(Placed).alternates_with(Paid), "every(Placed).alternates_with(Paid)"),
    (every(Placed).is_next_followed_by(Paid), "every(Placed).is_next_followed_by(Paid)"),
    (every(Placed).forbids(Paid), "every(Placed).forbids(Paid)"),
    (every(Placed).forbids(Paid, until=Shipped), "every(Placed).forbids(Paid, until=Shipped)"),
    (every(Placed).forbids(Paid, until=[Shipped, Foreign]), "every(Placed).forbids(Paid, until=[Shipped, Foreign])"),
    (before(Placed, Paid), "before(Placed, Paid)"),
    (each_before(Placed, Paid), "each_before(Placed, Paid)"),
    (directly_before(Placed, Paid), "directly_before(Placed, Paid)"),
    (only_if(Placed, Paid), "only_if(Placed, Paid)"),
    (never(Foreign), "never(Foreign)"),
    (never_both(Placed, Paid), "never_both(Placed, Paid)"),
    (both_or_neither(Placed, Paid), "both_or_neither(Placed, Paid)"),
    (one_of(Placed, Paid), "one_of(Placed, Paid)"),
    (exactly_one_of(Placed, Paid), "exactly_one_of(Placed, Paid)"),
    (starts_with(Placed), "starts_with(Placed)"),
    (ends_with(Shipped, Paid), "ends_with(Shipped, Paid)"),
    (at_most(3, Paid), "at_most(3, Paid)"),
    (at_least(2, Paid), "at_least(2, Paid)"),
    (exactly(2, Paid), "exactly(2, Paid)"),
    (at_most_once(Paid), "at_most_once(Paid)"),
    (at_least_once(Paid), "at_least_once(Paid)"),
    (exactly_once(Paid), "exactly_once(Paid)"),
]


@pytest.mark.parametrize(("written", "text"), WRITTEN)
def test_a_rule_has_the_text_that_was_written(written: Any, text: str) -> None:
    assert written.rule.text.replace("'", '"') == text
    assert re.fullmatch(r".*test_expectation\.py:\d+", written.where)


def test_a_rule_knows_the_types_that_it_names() -> None:
    written = every(Placed).forbids(Paid, until=Shipped)
    assert written.rule.types == ("x.placed", "x.paid", "x.shipped")
    assert [known.cls for known in written.types] == [Placed, Paid, Shipped]
    assert every(Placed).leads_to(Paid, within=timedelta(minutes=2)).rule.within_ms == 120_000


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no rule": (lambda: expect("order"), "has no rule"),
    "no class": (never, "too few events"),
    "one class": (lambda: never_both(Placed), "too few events"),
    "no event": (lambda: never(Plain), "is not an event"),
    "twice": (lambda: never_both(Placed, Placed), "names an event twice"),
    "itself": (lambda: every(Placed).leads_to(Placed), "is about itself"),
    "before itself": (lambda: before(Placed, Placed), "is about itself"),
    "lifts itself": (lambda: every(Placed).forbids(Paid, until=Paid), "is lifted by what it is about"),
    "none": (lambda: at_most(0, Paid), "counts nothing"),
    "true": (lambda: at_least(True, Paid), "counts nothing"),
    "no time": (lambda: every(Placed).leads_to(Paid, within="soon"), "has 'soon' in within="),
    "half": (lambda: expect("order", every(Placed)), "says nothing"),  # type: ignore[arg-type]
    "other": (lambda: expect("order", 7), "has 7 as a rule"),  # type: ignore[arg-type]
    "double": (lambda: expect("order", never(Paid), never(Paid)), "has never(Paid) twice"),
    "absent": (lambda: App(payment, expect("order", never(Paid))), "of process order, which is absent"),
    "foreign": (lambda: App(payment, order, expect("order", before(Foreign, Paid))), "no process order can have"),
    "across": (
        lambda: App(payment, order, expect(order, never(Paid)), expect("order", at_least_once(Paid))),
        "contradicts never(Paid)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_in_three_lines(case: str) -> None:
    make, what = REFUSED[case]
    with pytest.raises(DefinitionError) as raised:
        make()
    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    assert what in str(raised.value)
    assert "test_expectation.py:" in lines[0]
    assert (lines[1][:7], lines[2][:9]) == ("  why: ", "  to do: ")


def test_too_many_rules_are_refused() -> None:
    rules = [at_most(count, Paid) for count in range(1, RULES_MAX + 2)]
    with pytest.raises(DefinitionError, match="100 is the most"):
        App(payment, order, expect("order", *rules))


def test_what_never_comes_need_not_be_known() -> None:
    app = App(payment, order, expect("order", never(Foreign)))
    assert "x.foreign" in {known.name for known in app.manifest.types}


def test_rules_are_stored_with_the_manifest_without_a_place_of_this_machine() -> None:
    app = App(payment, order, expect("order", before(Paid, Shipped), at_most_once(Paid)))
    found = declared(app.services, app.processes)
    assert b"test_expectation" not in found.stored
    (process,) = from_stored(found.stored).processes
    assert [rule.text for rule in process.rules] == ["at_most_once(Paid)", "before(Paid, Shipped)"]
    assert order.rules == (), "the declaration itself is not changed"
    turned = App(payment, order, expect("order", at_most_once(Paid)), expect("order", before(Paid, Shipped)))
    assert digest(turned.manifest) == digest(app.manifest) != digest(App(payment, order).manifest)
    assert isinstance(app.manifest, AppManifest)

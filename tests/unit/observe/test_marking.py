"""The marking against a naive reader of the whole history, which keeps no state between events."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage.contracts.rule import Kind, Rule
from onstage.events.codec import DecodeFailed
from onstage.observe.marking import KEYS_MAX, Marking, RuleBook, decode_marking, encode_marking

TYPES = ("a", "b", "c", "d", "e")


class Event(NamedTuple):
    type: str
    at: int
    key: str


RULES = [
    Rule(text="1", kind="leads_to", of=("a",), to=("b",)),
    Rule(text="2", kind="leads_to", of=("a", "c"), to=("b", "d"), within_ms=7),
    Rule(text="3", kind="leads_to", of=("a",), to=("b",), within_ms=9, same_key=True),
    Rule(text="4", kind="alternates_with", of=("a",), to=("b", "c")),
    Rule(text="5", kind="is_next_followed_by", of=("a", "d"), to=("b",)),
    Rule(text="6", kind="forbids", of=("a",), to=("b",)),
    Rule(text="7", kind="forbids", of=("a",), to=("b",), until=("c", "d")),
    Rule(text="8", kind="before", of=("a",), to=("b",)),
    Rule(text="9", kind="each_before", of=("a",), to=("b",)),
    Rule(text="10", kind="directly_before", of=("a",), to=("b",)),
    Rule(text="11", kind="never", of=("d", "e")),
    Rule(text="12", kind="never_both", of=("a", "b", "c")),
    Rule(text="13", kind="at_most", of=("a", "b"), count=2),
    Rule(text="14", kind="at_least", of=("a", "b"), count=2),
    Rule(text="15", kind="exactly", of=("a", "c"), count=2),
    Rule(text="16", kind="only_if", of=("a",), to=("b",)),
    Rule(text="17", kind="both_or_neither", of=("a", "b", "c")),
    Rule(text="18", kind="one_of", of=("a", "b")),
    Rule(text="19", kind="exactly_one_of", of=("a", "b")),
    Rule(text="20", kind="starts_with", of=("a", "b")),
    Rule(text="21", kind="ends_with", of=("a", "b")),
]


# --- the naive reader -------------------------------------------------------------------------------------


def is_bad_at_once(rule: Rule, past: Sequence[Event]) -> bool:
    """Whether something in a history that is not over can never be mended."""
    of, to = [e for e in past if e.type in rule.of], [i for i, e in enumerate(past) if e.type in rule.to]
    sources = [i for i, e in enumerate(past) if e.type in rule.of]
    match rule.kind:
        case "alternates_with":
            return any(not any(one < i < other for i in to) for one, other in pairwise(sources))
        case "is_next_followed_by":
            return any(later.type not in rule.to for one, later in pairwise(past) if one.type in rule.of)
        case "forbids":
            lifts = [i for i, e in enumerate(past) if e.type in rule.until]
            return any(i < j and not any(i < k < j for k in lifts) for i in sources for j in to)
        case "before":
            return any(not any(i < j for i in sources) for j in to)
        case "each_before":
            return any(not any(prior < i < j for i in sources) for prior, j in pairwise([-1, *to]))
        case "directly_before":
            return any(j - 1 not in sources for j in to)
        case "never":
            return bool(of)
        case "never_both" | "exactly_one_of":
            return len({e.type for e in of}) > 1
        case "at_most" | "exactly":
            return len(of) > rule.count
        case "starts_with":
            return bool(past) and past[0].type not in rule.of
        case _:
            return False


def is_late(rule: Rule, past: Sequence[Event], now: int) -> bool:
    """Whether an event has waited too long for another one."""
    if rule.kind != "leads_to" or rule.within_ms is None:
        return False
    for i, event in enumerate(past):
        if event.type not in rule.of:
            continue
        answers = [e.at for e in past[i:] if e.type in rule.to and (not rule.same_key or e.key == event.key)]
        if (answers[0] if answers else now) > event.at + rule.within_ms:
            return True
    return False


def is_bad_in_the_end(rule: Rule, past: Sequence[Event]) -> bool:
    """Whether something is missing in a history that is over."""
    seen, of = {e.type for e in past}, [e for e in past if e.type in rule.of]
    match rule.kind:
        case "leads_to" | "alternates_with":
            return any(
                e.type in rule.of
                and not any(o.type in rule.to and (not rule.same_key or o.key == e.key) for o in past[i:])
                for i, e in enumerate(past)
            )
        case "is_next_followed_by":
            return bool(past) and past[-1].type in rule.of
        case "at_least" | "exactly":
            return len(of) < rule.count
        case "only_if":
            return bool(of) and not seen & set(rule.to)
        case "both_or_neither":
            return bool(of) and not set(rule.of) <= seen
        case "one_of" | "exactly_one_of":
            return not of
        case "ends_with":
            return not past or past[-1].type not in rule.of
        case _:
            return False


def judged_naively(history: Sequence[Event], end: int) -> dict[str, int]:
    """For each rule that is broken, after how many events that is first known; one more is the end."""
    broken: dict[str, int] = {}
    for rule in RULES:
        for count in range(len(history) + 1):
            past, now = history[:count], history[count - 1].at if count else 0
            if is_bad_at_once(rule, past) or is_late(rule, past, now):
                broken.setdefault(rule.text, count)
        if is_late(rule, history, end) or is_bad_in_the_end(rule, history):
            broken.setdefault(rule.text, len(history) + 1)
    return broken


def judged(history: Sequence[Event], end: int, *, packed: bool = False, lapsing: bool = True) -> dict[str, int]:
    """The same, by a marking; `packed` after each event, as a store does it."""
    book, broken = RuleBook(RULES), dict[str, int]()
    marking = book.begin()
    for count, event in enumerate([*history, None], start=1):
        now = end if event is None else event.at
        found = book.lapse(marking, now) if lapsing else []
        if event is not None:
            found += book.take(marking, event.type, event.at, event.key)
        else:
            found += [*book.lapse(marking, now), *book.end(marking, "done", now)]
        assert all(each.because and each.at <= now for each in found)
        for violation in found:
            assert violation.rule not in broken, "a rule is broken once"
            broken[violation.rule] = count
        if packed:
            assert encode_marking(decode_marking(encode_marking(marking))) == encode_marking(marking)
            marking = decode_marking(encode_marking(marking))
    return broken


events = st.lists(st.tuples(st.sampled_from(TYPES), st.integers(0, 6), st.sampled_from("xy")), max_size=9)


def history_of(drawn: Sequence[tuple[str, int, str]]) -> list[Event]:
    at, history = 1_000, list[Event]()
    for name, gap, key in drawn:
        at += gap
        history.append(Event(name, at, key))
    return history


@settings(max_examples=1_500, deadline=None)
@given(drawn=events, rest=st.integers(0, 12), packed=st.booleans(), lapsing=st.booleans())
def test_a_marking_says_what_a_naive_reader_of_the_history_says(
    drawn: list[tuple[str, int, str]], rest: int, packed: bool, lapsing: bool
) -> None:
    history = history_of(drawn)
    end = (history[-1].at if history else 1_000) + rest
    expected = judged_naively(history, end)
    found = judged(history, end, packed=packed, lapsing=lapsing)
    if (
        not lapsing
    ):  # nobody looks before the answer comes, so that lateness is known later: of which rules, is the same
        assert found.keys() == expected.keys()
    else:
        assert found == expected


def test_every_kind_is_tried() -> None:
    assert {rule.kind for rule in RULES} == set(Kind.__args__)  # type: ignore[attr-defined]


def test_of_two_markings_of_the_same_events_the_bytes_are_the_same() -> None:
    history = history_of([("a", 1, "x"), ("c", 2, "y"), ("a", 0, "y"), ("d", 5, "x")])
    bodies = []
    for _ in range(2):
        book = RuleBook(RULES)
        marking = book.begin()
        for event in history:
            book.take(marking, event.type, event.at, event.key)
        bodies.append(encode_marking(marking))
    assert bodies[0] == bodies[1]


def test_it_says_when_to_look_again_and_what_is_late_then() -> None:
    book = RuleBook([Rule(text="r", kind="leads_to", of=("a",), to=("b",), within_ms=100)])
    marking = book.begin()
    assert book.due(marking) is None
    book.take(marking, "a", 1_000)
    book.take(marking, "a", 1_050)
    assert book.due(marking) == 1_101
    assert book.lapse(marking, 1_100) == []
    (violation,) = book.lapse(marking, 1_101)
    assert (violation.rule, violation.at, violation.events) == ("r", 1_100, (("a", 1_000),))
    assert violation.because == "b did not come within 0.1 s"
    assert book.due(marking) is None
    assert book.lapse(marking, 9_999) == []


def test_a_violation_names_the_events_that_broke_the_rule() -> None:
    book = RuleBook([Rule(text="r", kind="never_both", of=("a", "b"))])
    marking = book.begin()
    book.take(marking, "a", 1)
    (violation,) = book.take(marking, "b", 2)
    assert violation.events == (("a", 1), ("b", 2))
    assert list(marking.broken.values()) == [violation]


def test_a_rule_that_is_new_says_nothing_of_a_process_that_had_begun() -> None:
    old = Rule(text="old", kind="never", of=("b",))
    marking = RuleBook([old]).begin()
    book = RuleBook([old, Rule(text="new", kind="before", of=("a",), to=("b",))])
    assert [violation.rule for violation in book.take(marking, "b", 1)] == ["old"]


def test_a_rule_that_is_gone_is_judged_no_more() -> None:
    gone = Rule(text="gone", kind="leads_to", of=("a",), to=("b",), within_ms=5)
    following = Rule(text="next", kind="is_next_followed_by", of=("a",), to=("b",))
    book = RuleBook([gone, following])
    marking = book.begin()
    book.take(marking, "a", 1)
    later = RuleBook([])
    assert later.due(marking) is None
    assert later.take(marking, "c", 100) == later.lapse(marking, 100) == later.end(marking, "x", 100) == []


def test_a_dead_end_is_no_end_for_what_an_external_event_may_still_fulfil() -> None:
    book = RuleBook([Rule(text="r", kind="leads_to", of=("a",), to=("b",))], external=["b"])
    marking = book.begin()
    book.take(marking, "a", 1)
    assert book.end(marking, None, 2) == []
    assert [each.rule for each in book.end(marking, "done", 3)] == ["r"]


def test_keys_that_are_pending_are_bounded() -> None:
    book = RuleBook([Rule(text="r", kind="leads_to", of=("a",), to=("b",), same_key=True)])
    marking = book.begin()
    for number in range(KEYS_MAX + 5):
        book.take(marking, "a", number, str(number))
    assert [len(mark.pending) for mark in marking.marks.values()] == [KEYS_MAX]


def test_an_event_that_no_rule_names_touches_no_mark() -> None:
    book = RuleBook([rule for rule in RULES if rule.kind == "before"])
    marking = book.begin()
    book.take(marking, "z", 1)
    assert marking == Marking(judged=[rule.id for rule in RULES if rule.kind == "before"], last=("z", 1))


def test_what_is_no_marking_is_refused() -> None:
    with pytest.raises(DecodeFailed, match="marking"):
        decode_marking(msgspec.msgpack.encode({"a": 1}))

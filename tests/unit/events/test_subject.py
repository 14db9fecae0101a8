"""Subjects of a log: partitions, names, and the patterns that readers filter by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import UsageError
from onstage.events.subject import (
    FILTERS_MAX,
    PARTITIONS,
    control_subject,
    covers,
    event_subject,
    log_subjects,
    matches,
    partition_of,
    receipt_subject,
    subjects_for,
    widest,
)

PLACES = [  # computed with Go's hash/fnv, New32a, as a NATS server does; checked against one in the contract tests
    ("", 0x811C9DC5 % 64),
    ("a", 0xE40C292C % 64),
    ("foobar", 0xBF9CF968 % 64),
]
MATCHES = [
    ("evt.shop.3.placed", "evt.shop.3.placed", True),
    ("evt.shop.3.placed", "evt.shop.*.placed", True),
    ("evt.shop.3.order.placed", "evt.shop.*.placed", False),
    ("evt.shop.3.order.placed", "evt.shop.3.>", True),
    ("evt.shop.3", "evt.shop.3.>", False),
    ("evt.shop.30.placed", "evt.shop.3.>", False),
    ("evt.shop", ">", True),
    ("evt.shop.3.placed", "evt.shop.3", False),
    ("evt.shop.3.placed", "evt.*", False),
]
COVERS = [
    ("a.>", "a.*.b", True),
    ("a.>", "a.>", True),
    ("a.*", "a.>", False),
    ("a.*.>", "a.>", False),
    ("a.>", "a.b.>", True),
    ("a.b", "a.*", False),
    ("a.*", "a.b", True),
    (">", "a.*", True),
]
tokens = st.text("ab01-_", min_size=1, max_size=3)
subjects = st.lists(tokens, min_size=1, max_size=4).map(".".join)
patterns = st.lists(st.just("*") | tokens, min_size=1, max_size=4).map(".".join) | subjects.map(lambda s: s + ".>")


@pytest.mark.parametrize(("key", "partition"), PLACES)
def test_a_key_has_the_partition_that_the_server_computes(key: str, partition: int) -> None:
    assert partition_of(key, 5) == partition


def test_an_event_without_a_key_goes_by_its_number() -> None:
    assert [partition_of(None, n) for n in (0, 63, 64, 130)] == [0, 63, 0, 2]


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_every_key_has_a_partition(key: str) -> None:
    assert partition_of(key, 0) in range(PARTITIONS)


def test_keys_are_spread_over_all_partitions() -> None:
    counts = [0] * PARTITIONS
    for n in range(6400):
        counts[partition_of(f"order-{n}", 0)] += 1
    assert min(counts) > 50
    assert max(counts) < 200


def test_what_stands_where_is_in_the_log_of_its_namespace() -> None:
    made = (event_subject("shop", 7, "order.placed"), receipt_subject("shop", 3), control_subject("shop", "payment"))
    assert made == ("evt.shop.7.order.placed", "rcpt.shop.3", "ctl.shop.payment")
    for subject in made:
        assert [matches(subject, pattern) for pattern in log_subjects("shop")].count(True) == 1
        assert not any(matches(subject, pattern) for pattern in log_subjects("sho"))


@pytest.mark.parametrize("namespace", ["", "Shop", "a.b", "*", ">", "a b", "shöp", "x" * 64, "a\n"])
def test_a_wrong_namespace_is_refused_in_three_lines(namespace: str) -> None:
    for make in (
        lambda: event_subject(namespace, 1, "a"),
        lambda: receipt_subject(namespace, 1),
        lambda: control_subject(namespace, "a"),
        lambda: subjects_for(namespace, range(1), ["a"]),
        lambda: log_subjects(namespace),
    ):
        with pytest.raises(UsageError) as caught:
            make()
        assert [line.strip().partition(":")[0] for line in str(caught.value).split("\n")[1:]] == ["why", "to do"]


@pytest.mark.parametrize("name", ["", ".", "a..b", "a.", "a b", "a.*", "a.>", "a\n", "\ud800"])
def test_a_name_that_would_be_another_subject_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be in a subject"):
        event_subject("shop", 1, name)
    with pytest.raises(UsageError, match="cannot be in a subject"):
        control_subject("shop", name)


def test_a_reader_filters_by_partition_and_type() -> None:
    assert subjects_for("shop", range(2, 4), ["placed", "order.paid"]) == (
        "evt.shop.2.placed",
        "evt.shop.2.order.paid",
        "evt.shop.3.placed",
        "evt.shop.3.order.paid",
    )
    assert subjects_for("shop", range(2, 4), ["placed"], whole=True) == ("evt.shop.2.>", "evt.shop.3.>")
    assert subjects_for("shop", range(PARTITIONS), ["placed"]) == ("evt.shop.*.placed",)
    assert subjects_for("shop", range(2), []) == ()


def test_a_reader_of_very_many_types_takes_them_all() -> None:
    types = [f"type-{n}" for n in range(FILTERS_MAX // 2)]
    assert len(subjects_for("shop", range(2), types)) == FILTERS_MAX
    assert subjects_for("shop", range(2), [*types, "one-more"]) == ("evt.shop.0.>", "evt.shop.1.>")


@given(st.integers(0, 63), st.lists(patterns, min_size=1, max_size=5), subjects)
def test_the_filters_take_what_the_types_take(partition: int, types: list[str], name: str) -> None:
    filters = subjects_for("shop", range(partition, partition + 1), types)
    wanted = any(matches(name, type_) for type_ in types)
    assert any(matches(f"evt.shop.{partition}.{name}", each) for each in filters) is wanted


@pytest.mark.parametrize(("subject", "pattern", "expected"), MATCHES)
def test_a_pattern_matches_whole_tokens(subject: str, pattern: str, expected: bool) -> None:
    assert matches(subject, pattern) is expected


@pytest.mark.parametrize(("wide", "narrow", "expected"), COVERS)
def test_a_pattern_covers_another_one(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


@given(patterns, patterns, subjects)
def test_what_is_covered_matches_no_more(wide: str, narrow: str, subject: str) -> None:
    if covers(wide, narrow) and matches(subject, narrow):
        assert matches(subject, wide)


@given(st.lists(patterns, max_size=6), subjects)
def test_the_widest_patterns_say_the_same_without_covering_each_other(some: list[str], subject: str) -> None:
    left = widest(some)
    assert any(matches(subject, one) for one in left) == any(matches(subject, one) for one in some)
    assert not any(covers(one, other) for one in left for other in left if one != other)

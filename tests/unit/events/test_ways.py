"""Ways between versions: one step after the other, and a clear word where there is none."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import DefinitionError
from onstage.events.codec import DecodeFailed
from onstage.events.ways import Ways


def counted(upto: int, *, missing: int = 0) -> Ways:
    """Each way notes that it was gone."""
    ways = Ways("shop.placed", "Placed")
    for since in range(1, upto):
        if since != missing:
            ways.add(since, since + 1, lambda old, since=since: [*old, since], newest=upto, where=f"a.py:{since}")
    return ways


@given(newest=st.integers(1, 9), version=st.integers(1, 9))
def test_a_value_goes_every_way_from_its_version_on_once(newest: int, version: int) -> None:
    version = min(version, newest)
    assert msgspec.json.decode(counted(newest).lift(b"[]", version, newest)) == list(range(version, newest))


def test_a_way_may_lead_over_several_versions() -> None:
    ways = Ways("shop.placed", "Placed")
    ways.add(1, 3, lambda old: {**old, "a": 3}, newest=3, where="a.py:1")
    assert ways.lift(b"{}", 1, 3) == b'{"a":3}'


@pytest.mark.parametrize(
    ("data", "version", "why"),
    [
        (b"[]", 1, "there is no @upcast(Placed, 2, 3)"),
        (b"[]", 5, "has version 5 here, and this code knows 4: deploy newer code"),
        (b"{", 1, "shop.placed version 1: "),
    ],
)
def test_what_cannot_be_lifted_says_why(data: bytes, version: int, why: str) -> None:
    with pytest.raises(DecodeFailed) as caught:
        counted(4, missing=2).lift(data, version, 4)
    assert why in str(caught.value)


def test_a_way_that_fails_is_named_with_its_place() -> None:
    ways = Ways("shop.placed", "Placed")
    ways.add(1, 2, lambda old: old["gone"], newest=2, where="a.py:7")
    with pytest.raises(DecodeFailed, match=r"the @upcast to version 2 \(a\.py:7\) raised KeyError: 'gone'"):
        ways.lift(b"{}", 1, 2)


def test_what_a_way_makes_must_be_json() -> None:
    ways = Ways("shop.placed", "Placed")
    ways.add(1, 2, lambda _: object(), newest=2, where="a.py:7")
    with pytest.raises(DecodeFailed, match="what @upcast made of it"):
        ways.lift(b"{}", 1, 2)


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        (2, 2, "to a later one"),
        (0, 1, "to a later one"),
        (2, 3, "has version 2"),
        (1, 2, "there is a way"),
        ("1", 2, "to a"),
    ],
)
def test_a_way_that_leads_nowhere_is_refused(since: Any, until: int, why: str) -> None:
    ways = Ways("shop.placed", "Placed")
    ways.add(1, 2, lambda old: old, newest=2, where="a.py:1")
    with pytest.raises(DefinitionError, match=why):
        ways.add(since, until, lambda old: old, newest=2, where="a.py:2")

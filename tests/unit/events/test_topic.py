"""Topic patterns: one token, the rest, and what is Onstage's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import DefinitionError
from onstage.events.topic import Topic

CASES = [
    ("shop.order-placed", "shop.order-placed", True),
    ("shop.order-placed", "shop.order-placed.x", False),
    ("shop.*", "shop.order-placed", True),
    ("shop.*", "shop", False),
    ("shop.*", "shop.a.b", False),
    ("*.placed", "shop.placed", True),
    ("shop.>", "shop.a.b", True),
    ("shop.>", "shop", False),
    ("shop.>", "shop.", False),
    ("shop.>", "shop.a..b", False),
    ("shop.>", "shopping.a", False),
    (">", "a", True),
    (">", "onstage.started", False),
    ("*.started", "onstage.started", False),
    ("onstage.>", "onstage.start/fulfil", True),
    ("onstage.started", "onstage.started", True),
    ("shop.a", "shopxa", False),
    ("Com.Example.*", "Com.Example.Made", True),
]
tokens = st.text("abcxyz019-_", min_size=1, max_size=6)
names = st.lists(tokens, min_size=1, max_size=5)


@pytest.mark.parametrize(("pattern", "name", "expected"), CASES)
def test_a_pattern_matches_whole_tokens(pattern: str, name: str, expected: bool) -> None:
    assert Topic(pattern).matches(name) is expected


@pytest.mark.parametrize(
    "pattern", ["", ".", "a..b", "a.>.b", "shop*", "a.*b", "a b", "a.b>", "x" * 300, "a\n", "a\ud800"]
)
def test_an_impossible_pattern_is_refused_with_place_and_mend(pattern: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        Topic(pattern, "shop.py:12")
    what, why, mend = str(caught.value).splitlines()
    assert what.startswith("shop.py:12: invalid topic pattern")
    assert why
    assert '"shop.>"' in mend


def test_topics_are_equal_by_their_text() -> None:
    assert Topic("a.*", "x.py:1") == Topic("a.*", "y.py:2")
    assert str(Topic("a.*")) == "a.*"


@given(names, st.data())
def test_a_name_matches_itself_and_each_token_replaced_by_a_star(parts: list[str], data: st.DataObject) -> None:
    name = ".".join(parts)
    starred = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    pattern = ".".join("*" if star else part for part, star in zip(parts, starred, strict=True))
    assert Topic(name).matches(name)
    assert Topic(pattern).matches(name)
    assert not Topic(pattern).matches(name + ".more")


@given(names, st.integers(0, 4))
def test_the_rest_matches_one_token_or_more(parts: list[str], cut: int) -> None:
    pattern = ".".join([*parts[:cut], ">"])
    assert Topic(pattern).matches(".".join(parts)) is (len(parts) > cut)


def test_a_pattern_that_is_too_long_is_not_shown_in_full() -> None:
    with pytest.raises(DefinitionError) as caught:
        Topic("x" * 1_000_000)
    assert len(str(caught.value)) < 600

"""Changes of schemas: a change breaks if, and only if, what was written before cannot be read."""

from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from onstage.contracts.schema_changes import schema_changes
from onstage.events.codec import DecodeFailed, codec_for


def shape(*fields: Any) -> type[Any]:
    return make_dataclass("Order", fields, frozen=True)


@dataclass(frozen=True)
class Card:
    number: str


@dataclass(frozen=True)
class NamedCard:
    number: str
    name: str


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class Loose(msgspec.Struct):
    id: str
    seats: int


ID = ("id", str)
SEATS = shape(ID, ("seats", int))
CASES: dict[str, tuple[Any, Any, list[Any], list[str], bool]] = {
    "a needed field": (shape(ID), SEATS, [("a",)], ["seats is new and needed"], True),
    "a field with a default": (shape(ID), shape(ID, ("seats", int, 1)), [("a",)], ["seats is new"], False),
    "a field less": (SEATS, shape(ID), [("a", 1)], ["seats is gone"], False),
    "a field less, unknown ones forbidden": (Loose, Strict, [("a", 1)], ["seats is gone"], True),
    "another type": (SEATS, shape(ID, ("seats", str)), [("a", 1)], ["seats is string, was integer"], True),
    "a wider type": (SEATS, shape(ID, ("seats", float)), [("a", 1)], ["seats takes more: number, was integer"], False),
    "a narrower type": (shape(ID, ("seats", float)), SEATS, [("a", 1.5)], ["seats is integer, was number"], True),
    "null as well": (SEATS, shape(ID, ("seats", int | None)), [("a", 1)], ["seats may be null"], False),
    "null no longer": (shape(ID, ("seats", int | None)), SEATS, [("a", None)], ["seats may be null no longer"], True),
    "a default no longer": (shape(ID, ("seats", int, 1)), SEATS, [], ["seats is needed now"], True),
    "a default": (SEATS, shape(ID, ("seats", int, 1)), [("a", 2)], ["seats may be left out"], False),
    "a choice more": (
        shape(("of", Literal["a", "b"])),
        shape(("of", Literal["a", "b", "c"])),
        [("a",), ("b",)],
        ['of takes more: one of "a", "b", "c", was one of "a", "b"'],
        False,
    ),
    "a choice less": (
        shape(("of", Literal["a", "b"])),
        shape(("of", Literal["a"])),
        [("a",), ("b",)],
        ['of is one of "a", was one of "a", "b"'],
        True,
    ),
    "a kind more": (SEATS, shape(ID, ("seats", int | str)), [("a", 1)], ["seats may be integer or string"], False),
    "a kind less": (
        shape(ID, ("seats", int | str)),
        SEATS,
        [("a", "1")],
        ["seats was also string, and is integer"],
        True,
    ),
    "deep inside": (
        shape(("cards", list[Card])),
        shape(("cards", list[NamedCard])),
        [([Card("1")],)],
        ["each of cards.name is new and needed"],
        True,
    ),
    "a limit": (
        SEATS,
        shape(ID, ("seats", Annotated[int, Meta(le=9)])),
        [("a", 10)],
        ["seats is integer (maximum 9), was integer"],
        True,
    ),
    "nothing": (SEATS, SEATS, [("a", 1)], [], False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_change_is_told_and_breaks_exactly_if_old_payloads_cannot_be_read(case: Any) -> None:
    older, newer, payloads, words, breaks = case
    changes = schema_changes(codec_for(older).schema(), codec_for(newer).schema())
    assert [change.words for change in changes] == words
    assert any(change.breaks for change in changes) is breaks
    written = [codec_for(older).encode(older(*values)) for values in payloads] or [b'{"id": "a"}']
    assert any(is_refused(newer, each) for each in written) is breaks


def is_refused(newer: Any, data: bytes) -> bool:
    try:
        codec_for(newer).read(data)
    except DecodeFailed:
        return True
    return False


def test_what_breaks_comes_first_and_titles_do_not_count() -> None:
    older = {"title": "Old", "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    newer = {
        "title": "New",
        "type": "object",
        "properties": {"b": {"type": "string"}, "a": {"type": "string", "title": "A"}, "c": {"type": "integer"}},
        "required": ["a", "c"],
    }
    changes = schema_changes(older, newer)
    assert [change.words for change in changes] == ["c is new and needed", "b is new"]


def test_a_shape_that_holds_itself_is_compared() -> None:
    def tree(kind: str) -> dict[str, Any]:
        node = {"type": "object", "properties": {"of": {"type": kind}, "next": {"$ref": "#/$defs/Node"}}}
        return {"$ref": "#/$defs/Node", "$defs": {"Node": node}}

    assert schema_changes(tree("string"), tree("string")) == ()
    assert [change.words for change in schema_changes(tree("string"), tree("integer"))] == ["of is integer, was string"]

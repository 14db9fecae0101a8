"""``@event``: names, keys, all kinds of classes, and refusals with place, reason and mend."""

import enum
import inspect
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from onstage.errors import DefinitionError, InvalidEvent
from onstage.events.event import EventType, define_event, event, event_type, is_event


class Color(enum.Enum):
    RED = "red"


@event("shop.order-placed", key="order_id", version=2)
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    amount: int


@event
class HTTPCallMade(msgspec.Struct, frozen=True):
    order_id: str


@event(key="order_id")
@attrs.frozen
class OrderPaid:
    order_id: int | None


@event(key="order_id")
class OrderShipped(pydantic.BaseModel):
    order_id: uuid.UUID


@event(key="color")
@dataclass(slots=True)
class Painted:
    color: Color


class PlainSubclass(OrderPlaced):
    pass


class Row(TypedDict):
    a: int


class Opaque:
    pass


@dataclass
class Unencodable:
    a: Opaque


@dataclass
class Fine:
    a: int
    b: list[int]


class FineModel(pydantic.BaseModel):
    a: int
    b: list[int]


Refused = tuple[Callable[[], object], str, str, str]
REFUSED: dict[str, Refused] = {
    "cannot be encoded": (lambda: event(Unencodable), "Unencodable", "Unencodable.a", "dataclass"),
    "not a data class": (lambda: event(Opaque), "Opaque", "neither a dataclass", "@dataclass(frozen=True)"),
    "a typed dict": (lambda: event(Row), "Row", "TypedDict", "dataclass"),
    "no class": (lambda: event("x")(len), "@event on", "not a class", "above a class"),  # type: ignore[arg-type]
    "unknown key": (lambda: event(key="c")(Fine), "key 'c'", "no such field", "a, b"),
    "unknown key of a model": (lambda: event(key="c")(FineModel), "key 'c'", "no such field", "a, b"),
    "compound key": (lambda: event(key="b")(Fine), "key 'b'", "a key is text", "a, b"),
    "upper-case name": (lambda: event("Shop.X")(Fine), "'Shop.X'", "a-z", "shop.fine"),
    "empty name": (lambda: event("")(Fine), "''", "a-z", "shop.fine"),
    "empty token": (lambda: event("a..b")(Fine), "'a..b'", "a-z", "shop.fine"),
    "wildcard name": (lambda: event("shop.>")(Fine), "'shop.>'", "a-z", "shop.fine"),
    "reserved name": (lambda: event("onstage.x")(Fine), "'onstage.x'", "reserved", "shop.fine"),
    "long name": (lambda: event("x" * 256)(Fine), "named", "255 bytes", "shop.fine"),
    "wrong version": (lambda: event("x", version=0)(Fine), "version 0", "from 1", "version=2"),
    "twice": (lambda: event(OrderPaid), "twice", "already the event order-paid", "remove one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_definition_is_refused_with_place_reason_and_mend(case: str) -> None:
    define, what, why, mend = REFUSED[case]
    with pytest.raises(DefinitionError) as caught:
        define()
    first, second, third = str(caught.value).splitlines()
    assert first.startswith(f"{__file__}:{define.__code__.co_firstlineno}: ")
    assert what in first
    assert why in second
    assert mend in third


def test_the_name_defaults_to_the_kebab_cased_class_name() -> None:
    assert event_type(HTTPCallMade).name == "http-call-made"
    assert event_type(OrderPaid).name == "order-paid"


def test_what_was_declared_is_known_of_the_class() -> None:
    known = event_type(OrderPlaced)
    assert (known.name, known.version, known.key) == ("shop.order-placed", 2, "order_id")
    assert known.cls is OrderPlaced
    line = inspect.getsourcelines(OrderPlaced)[1]
    assert known.where in {f"{__file__}:{line}", f"{__file__}:{line + 1}"}


@pytest.mark.parametrize(
    ("obj", "key"),
    [
        (OrderPlaced("o1", 5), "o1"),
        (HTTPCallMade("o1"), None),
        (OrderPaid(7), "7"),
        (OrderPaid(None), None),
        (OrderShipped(order_id=uuid.UUID(int=1)), "00000000-0000-0000-0000-000000000001"),
        (Painted(Color.RED), "red"),
    ],
)
def test_every_kind_of_event_is_encoded_decoded_and_keyed(obj: Any, key: str | None) -> None:
    known = event_type(type(obj))
    assert known.decode(known.encode(obj)) == obj
    assert known.key_of(obj) == key


def test_what_cannot_be_encoded_says_what_why_and_what_to_do() -> None:
    known = event_type(OrderPlaced)
    assert known.encode_from_outside(OrderPlaced("o1", 5)) == known.encode(OrderPlaced("o1", 5))
    with pytest.raises(InvalidEvent) as refused:
        known.encode_from_outside(OrderPlaced(object(), 5))  # type: ignore[arg-type]
    what, why, mend = str(refused.value).splitlines()
    assert what == "shop.order-placed: this OrderPlaced cannot be encoded"
    assert why.startswith("  why: ")
    assert mend == f"  to do: correct it as {known.where} declares it"


def test_a_subclass_is_no_event_by_inheritance() -> None:
    assert is_event(OrderPlaced)
    assert not is_event(PlainSubclass)
    with pytest.raises(DefinitionError, match="PlainSubclass is not an event"):
        event_type(PlainSubclass)


@pytest.mark.parametrize("thing", [int, Opaque, "shop.order-placed", None, OrderPlaced("o1", 5)])
def test_other_things_are_no_events(thing: Any) -> None:
    assert not is_event(thing)
    with pytest.raises(DefinitionError, match="put @event above"):
        event_type(thing)


def test_event_types_are_equal_by_identity_and_have_no_registry() -> None:
    first = define_event(Fine, name="onstage.start/x")
    second = define_event(Fine, name="onstage.start/x")
    assert isinstance(first, EventType)
    assert first != second
    assert not is_event(Fine)

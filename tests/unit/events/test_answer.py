"""Requests of every kind of event class, and the types of their answers."""

from dataclasses import dataclass

import attrs
import msgspec
import pytest
from pydantic import BaseModel

from onstage import Request, event
from onstage.events.answer import Answer, answer_type, is_answer, is_request, response_codec, response_of, start_type
from onstage.events.codec import codec_for
from onstage.events.event import event_type


@event("kinds.plain", key="x")
@dataclass(frozen=True)
class Plain(Request[int]):
    x: str


@event("kinds.struct", key="x")
class Struct(Request[int], msgspec.Struct, frozen=True):
    x: str


@event("kinds.attrs", key="x")
@attrs.frozen
class Attrs(Request[int]):
    x: str


@event("kinds.model", key="x")
class Model(BaseModel, Request[int]):
    x: str


@event("kinds.late")
@dataclass(frozen=True)
class Late(Request["Later"]):
    pass


@event("kinds.silent")
@dataclass(frozen=True)
class Silent(Request):  # type: ignore[type-arg]  # which is what is tried
    pass


@dataclass(frozen=True)
class Later:
    y: int


@pytest.mark.parametrize("cls", [Plain, Struct, Attrs, Model])
def test_a_request_is_an_event_of_any_kind_and_says_what_it_demands(cls: type[Request[int]]) -> None:
    known = event_type(cls)
    made = known.decode(known.encode(cls(x="1")))  # type: ignore[call-arg]
    assert (known.key_of(made), response_of(cls)) == ("1", int)
    assert is_request(cls)
    assert response_codec(cls).read(b"7") == 7


def test_what_it_demands_may_be_defined_further_down() -> None:
    assert response_of(Late) is Later


def test_a_request_that_does_not_say_what_it_demands_is_refused_when_that_is_asked() -> None:
    with pytest.raises(TypeError, match=r"write class Silent\(Request\[TheAnswer\]\)"):
        response_of(Silent)


def test_an_answer_holds_a_value_or_a_failure() -> None:
    known = answer_type("kinds.plain")
    value = known.cls(about="a-b-1", value=msgspec.Raw(b'{"y":1}'))
    assert known.encode(value) == b'{"about":"a-b-1","value":{"y":1}}'
    failed = known.decode(known.encode(known.cls(about="a-b-1", failure=("rejected", "no"))))
    assert isinstance(failed, Answer)
    assert (failed.failure, bytes(failed.value)) == (("rejected", "no"), b"null")


def test_the_type_of_an_answer_is_one_for_each_name() -> None:
    assert answer_type("kinds.plain") is answer_type("kinds.plain")
    assert answer_type("kinds.plain").cls is not answer_type("kinds.struct").cls
    assert answer_type("kinds.plain").name == "onstage.answer/kinds.plain"
    assert (is_answer("onstage.answer/kinds.plain"), is_answer("kinds.plain")) == (True, False)


def test_the_start_of_a_workflow_has_its_input_as_payload() -> None:
    known = start_type("shop.fulfil", codec_for(dict[str, int]), "shop.py:1")
    assert (known.name, known.encode({"a": 1}), known.decode(b'{"a":1}')) == (
        "onstage.start/shop.fulfil",
        b'{"a":1}',
        {"a": 1},
    )
    assert event_type(known.cls) is known

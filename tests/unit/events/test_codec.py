"""Codecs: all kinds of classes there and back, and refusals that name the field."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.events.codec import Codec, DecodeFailed, NoCodec, canonical, codec_for, encode_any, normalised


@dataclass(frozen=True)
class Data:
    a: int
    b: str | None = None


class Struct(msgspec.Struct, frozen=True):
    a: int
    b: str | None = None


@attrs.frozen
class Attrs:
    a: int
    b: str | None = None


class Model(pydantic.BaseModel):
    a: int
    b: str | None = None


class Aliased(pydantic.BaseModel):
    day: date = pydantic.Field(alias="theDay")


class Typed(TypedDict):
    a: int


class Pair(NamedTuple):
    a: int
    b: date


class Opaque:
    """A class that has no fields JSON could carry."""


@dataclass(frozen=True)
class Holder:
    model: Model
    aliased: list[Aliased] = field(default_factory=list)
    maybe: Model | None = None


@dataclass
class Tree:
    value: int
    children: "list[Tree]" = field(default_factory=list)


@dataclass
class Bush:
    value: int
    children: "list[Bush]" = field(default_factory=list)


@dataclass
class Inner:
    opaque: Opaque


@dataclass
class Outer:
    inners: dict[str, list[Inner | None]]


@dataclass
class Unresolved:
    a: "Nowhere"  # type: ignore[name-defined]  # noqa: F821 - the point of it


class Tagged(pydantic.BaseModel):
    tags: set[str]


KINDS: list[Callable[..., Any]] = [Data, Struct, Attrs, Model]
VALUES: list[tuple[object, object]] = [
    (int, 5),
    (None, None),
    (int | None, None),
    (list[Data], [Data(1), Data(2, "x")]),
    (tuple[int, str], (1, "x")),
    (dict[str, int], {"a": 1}),
    (Typed, {"a": 1}),
    (Pair, Pair(1, date(2024, 2, 29))),
    (Tree, Tree(1, [Tree(2)])),
    (bytes, b"\x00\xff"),
    (Holder, Holder(Model(a=1), [Aliased(theDay=date(2024, 2, 29))], Model(a=2, b="x"))),
    (list[Model], [Model(a=1)]),
    (Model | None, None),
    (Aliased, Aliased(theDay=date(2024, 2, 29))),
    (Annotated[int, msgspec.Meta(ge=1)], 3),
]
REFUSED: list[tuple[object, str]] = [
    (Opaque, "an Opaque"),
    (object, "object"),
    (complex, "complex"),
    (Inner, "Inner.opaque"),
    (Outer, "Inner.opaque"),
    (dict[tuple[int, int], int], "keys"),
    (Data | Struct, "Data"),
    (Model | int, "custom type"),
    (Unresolved, "Nowhere"),
    (Callable[[], int], "Callable"),
]


@pytest.mark.parametrize("kind", KINDS)
@given(a=st.integers(-(2**53), 2**53), b=st.none() | st.text())
def test_every_kind_of_class_survives_the_round_trip(kind: Callable[..., Any], a: int, b: str | None) -> None:
    codec = codec_for(kind)
    value = kind(a=a, b=b)
    assert codec.decode(codec.encode(value)) == value
    assert json.loads(codec.encode(value)) == {"a": a, "b": b}


@pytest.mark.parametrize(("type_", "value"), VALUES, ids=str)
def test_a_value_of_a_supported_type_survives_the_round_trip(type_: object, value: object) -> None:
    codec = codec_for(type_)
    decoded = codec.decode(codec.encode(value))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(("type_", "named"), REFUSED, ids=str)
def test_what_cannot_be_encoded_is_refused_at_once_by_name(type_: object, named: str) -> None:
    with pytest.raises(NoCodec) as caught:
        codec_for(type_)
    assert named in str(caught.value)


def test_a_pydantic_model_with_an_opaque_field_is_refused() -> None:
    class Loose(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        opaque: Opaque

    with pytest.raises(NoCodec, match="Loose"):
        codec_for(Loose)


@pytest.mark.parametrize("kind", [*KINDS, Holder])
def test_what_does_not_fit_fails_with_one_error_in_read_and_a_value_error_in_decode(kind: type) -> None:
    codec = codec_for(kind)
    for data in (b'{"a":"x"}', b"{}", b"nonsense", b"", b'{"model":{"a":"x"}}'):
        with pytest.raises(DecodeFailed, match=kind.__name__):
            codec.read(data)
        with pytest.raises(ValueError, match=r"."):
            codec.decode(data)


@dataclass
class Ratio:
    part: int
    whole: int

    def __post_init__(self) -> None:
        self.share = self.part / self.whole
        if self.part < 0:
            raise KeyError("part")


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (Ratio, b'{"part":1,"whole":0}'),
        (Ratio, b'{"part":-1,"whole":1}'),
        (set[Any], b"[{}]"),
        (set[Decimal], b'["sNaN"]'),
    ],
)
def test_whatever_a_type_raises_while_it_is_made_is_a_failed_decode(type_: object, data: bytes) -> None:
    with pytest.raises(DecodeFailed):
        codec_for(type_).read(data)


def test_too_deep_json_is_a_failed_decode() -> None:
    with pytest.raises(DecodeFailed):
        codec_for(Any).read(b"[" * 100_000)


def test_a_codec_is_made_once() -> None:
    assert codec_for(Data) is codec_for(Data)
    assert isinstance(codec_for(Annotated[int, []]), Codec)
    assert repr(codec_for(Data)) == "Codec[Data]"


def test_a_fingerprint_ignores_names_for_people_and_sees_the_shape() -> None:
    def variant(doc: str, kind: type) -> Codec[Any]:
        made = msgspec.defstruct("Made", [("a", kind), ("b", str)], namespace={"__doc__": doc})
        return codec_for(made)

    assert variant("one", int).fingerprint == variant("two", int).fingerprint
    assert variant("one", int).fingerprint != variant("one", str).fingerprint
    assert 0 <= variant("one", int).fingerprint < 2**63


def test_a_fingerprint_is_the_same_in_every_process_and_release() -> None:
    # Journals hold this number: if it changes, stored results of unchanged code look changed.
    assert codec_for(Data).fingerprint == 2650152304718792189


@pytest.mark.parametrize("kind", [Data, Attrs, Holder, Tree, Model])
def test_a_normalised_schema_has_no_named_references(kind: type) -> None:
    assert "$defs" not in json.dumps(normalised(codec_for(kind).schema()))


def test_the_kind_of_class_does_not_count_only_its_shape() -> None:
    assert codec_for(Data).fingerprint == codec_for(Attrs).fingerprint == codec_for(Struct).fingerprint


def test_a_renamed_class_keeps_its_fingerprint_even_if_recursive() -> None:
    assert codec_for(Tree).fingerprint == codec_for(Bush).fingerprint


def test_a_property_called_title_is_no_title() -> None:
    schema = {"title": "x", "properties": {"title": {"type": "string", "title": "Title"}}}
    assert normalised(schema) == {"properties": {"title": {"type": "string"}}}


@given(st.sets(st.text(max_size=3)), st.permutations(["a", "b", "c"]))
def test_the_canonical_form_does_not_depend_on_order(members: set[str], order: list[str]) -> None:
    backwards = set(sorted(members, reverse=True))  # noqa: C414 - another order of insertion
    shuffled = dict.fromkeys(order, backwards)
    straight = dict.fromkeys(sorted(order), members)
    assert canonical(shuffled) == canonical(straight)
    assert canonical(Tagged(tags=members)) == canonical({"tags": sorted(members)})


def test_arguments_are_encoded_as_what_they_are() -> None:
    assert encode_any((1, Data(2), Model(a=3))) == b'[1,{"a":2,"b":null},{"a":3,"b":null}]'


@pytest.mark.parametrize("value", [Opaque(), (1, Opaque()), {"a": {1: Opaque()}}, 1j], ids=str)
def test_an_argument_without_encoding_is_refused(value: object) -> None:
    for encode in (canonical, encode_any):
        with pytest.raises(NoCodec):
            encode(value)

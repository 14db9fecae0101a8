"""Codecs: one per type, JSON in and out, made once and refused at once if the type cannot be encoded.

Theory of operation. ``msgspec`` does the work for dataclasses, its own structs, attrs classes, typed dicts
and the builtins. It accepts any other class as "custom" and would fail at the first value, so the type is
walked when the codec is made and a custom class refused by the name of its field. The one exception are
pydantic models: known by their methods, never imported, and converted by a pair of hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Generic, Protocol, TypeGuard, TypeVar, cast, final

import msgspec
from msgspec import inspect as described

__all__ = [
    "Codec",
    "DecodeFailed",
    "NoCodec",
    "canonical",
    "codec_for",
    "encode_any",
    "inlined",
    "normalised",
]

T = TypeVar("T")
_CACHED_TYPES_MAX: Final = 8192

Schema = dict[str, Any]


@final
class NoCodec(TypeError):
    """A type or value has no encoding: change the field the text names to one that JSON can carry."""


@final
class DecodeFailed(ValueError):
    """Stored or received bytes do not fit the type: the text has the reason and the path of the field."""


class _Model(Protocol):
    """What a pydantic model class can do, as far as it is needed here."""

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> object: ...

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...

    def model_dump_json(self, *, by_alias: bool, round_trip: bool) -> str: ...

    def model_dump(self, *, by_alias: bool, round_trip: bool) -> dict[str, Any]: ...


@final
class Codec(Generic[T]):
    """How values of one type are written and read; make it with ``codec_for``.

    ``encode(value) -> bytes`` and ``decode(data) -> T`` are the bare functions of the C encoder where they
    can be: they are the hottest calls there are. ``decode`` validates and raises a ``ValueError`` (of msgspec
    or pydantic), a ``RecursionError`` if nested too deep, a ``TypeError`` for what cannot be in a set, or
    whatever the class's own code raises; ``read`` does so with one error, ``DecodeFailed``.
    ``encode`` raises ``TypeError`` or ``ValueError`` for a value that breaks its own annotations. Encoding
    does not validate: a value of a wrong but encodable type is noticed when it is decoded.
    """

    __slots__ = ("_fingerprint", "_schema", "decode", "encode", "type_")

    type_: object
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]

    def __init__(self, type_: object, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        """Keep the two functions; nothing is checked here."""
        self.type_ = type_
        self.encode = encode
        self.decode = decode
        self._schema: dict[str, Any] | None = None
        self._fingerprint: int | None = None

    def read(self, data: bytes) -> T:
        """Return the value in ``data``.

        Raises:
            DecodeFailed: if it is not JSON, does not fit the type, is nested too deep, or the type's own code
                (a validator, say) refuses it, with whatever error.
        """
        try:
            return self.decode(data)
        except Exception as error:
            raise DecodeFailed(f"{_shown(self.type_)}: {error}") from error

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema (2020-12) of what ``decode`` accepts; do not change it.

        Raises:
            NoCodec: if the type has none.
        """
        if self._schema is None:
            self._schema = _schema_of(self.type_)
        return self._schema

    @property
    def fingerprint(self) -> int:
        """A hash of the normalised schema, 0 to 2**63 - 1, equal in every process and on every machine.

        Titles, descriptions and the order of keys do not count. Made at the first use.
        """
        if self._fingerprint is None:
            self._fingerprint = _schema_hash(self.schema())
        return self._fingerprint

    def __repr__(self) -> str:
        """Return the type in brackets."""
        return f"Codec[{_shown(self.type_)}]"


def codec_for(type_: object) -> Codec[Any]:
    """Return the codec of ``type_``: a class, a union, a generic alias or ``None``. Cached.

    Raises:
        NoCodec: if it, or anything in it, cannot be encoded; the text names the field.
    """
    try:
        hash(type_)
    except TypeError:  # Annotated[...] over something mutable: rare and right, only not cached
        return _made(type_)
    return _cached(type_)


def canonical(value: object) -> bytes:
    """Return one deterministic JSON encoding of ``value``, for hashing: keys and sets are sorted.

    Raises:
        NoCodec: if a part of it cannot be encoded.
    """
    return _encoded(_DETERMINISTIC, value)


def encode_any(value: object) -> bytes:
    """Return ``value`` (a tuple of arguments, say) as JSON, each part encoded as what it is.

    Raises:
        NoCodec: if a part of it cannot be encoded.
    """
    return _encoded(_PLAIN, value)


def is_model(type_: object) -> TypeGuard[type[_Model]]:
    """Say whether ``type_`` is a pydantic model class, by its methods."""
    names = ("model_validate_json", "model_dump_json", "model_json_schema")
    return isinstance(type_, type) and all(callable(getattr(type_, name, None)) for name in names)


# --- making a codec ---------------------------------------------------------------------------------------


def _made(type_: object) -> Codec[Any]:
    if is_model(type_):
        _model_schema(type_)  # pydantic finds out here what it cannot encode
        return Codec(type_, _model_json, type_.model_validate_json)
    try:
        _check(type_)
        decoder = msgspec.json.Decoder(cast("Any", type_), dec_hook=_decode_hook)
    except NoCodec:
        raise
    except NameError as error:
        raise NoCodec(
            f"{_shown(type_)}: {error}; an annotation must be resolvable from the module it stands in"
        ) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise NoCodec(f"{_shown(type_)}: {error}") from error
    return Codec(type_, _PLAIN.encode, decoder.decode)


_cached = lru_cache(maxsize=_CACHED_TYPES_MAX)(_made)


def _check(type_: object) -> None:
    """Walk the description of the type; refuse what msgspec takes for custom, or has no JSON for."""
    pending = [(_shown(type_), described.type_info(cast("Any", type_)))]
    seen: set[int] = set()
    while pending:
        path, node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        _check_node(path, node)
        pending.extend(_parts(path, node))


def _check_node(path: str, node: described.Type) -> None:
    match node:
        case described.CustomType(cls=cls) if is_model(cls):
            _model_schema(cls)
        case described.CustomType(cls=cls):
            raise NoCodec(f"{path} is {_article(_shown(cls))}, a class that has no fields JSON could carry")
        case described.ExtType():
            raise NoCodec(f"{path} is a MessagePack extension, which JSON cannot carry")
        case described.DictType(key_type=key) if isinstance(key, _NO_KEYS):
            raise NoCodec(f"{path} has dict keys that JSON cannot carry; they must be text or numbers")
        case _:
            pass


def _parts(path: str, node: described.Type) -> Iterator[tuple[str, described.Type]]:
    match node:
        case described.StructType() | described.DataclassType():
            yield from ((f"{_shown(node.cls)}.{part.name}", part.type) for part in node.fields)
        case described.NamedTupleType() | described.TypedDictType():
            yield from ((f"{_shown(node.cls)}.{part.name}", part.type) for part in node.fields)
        case described.UnionType(types=types) | described.TupleType(item_types=types):
            yield from ((path, part) for part in types)
        case described.DictType(key_type=key, value_type=value):
            yield path, key
            yield path, value
        case described.CollectionType(item_type=item):
            yield path, item
        case described.Metadata(type=inner):
            yield path, inner
        case _:
            pass


_NO_KEYS: Final = (
    described.CollectionType,
    described.DictType,
    described.StructType,
    described.DataclassType,
    described.NamedTupleType,
    described.TypedDictType,
    described.TupleType,
)


# --- pydantic, by its methods -----------------------------------------------------------------------------


def _model_json(value: _Model) -> bytes:
    # By alias, since that is what validation reads; "round_trip" leaves out what it could not read back.
    return value.model_dump_json(by_alias=True, round_trip=True).encode()


def _encode_hook(value: object) -> object:
    if is_model(type(value)):
        return msgspec.Raw(_model_json(cast("_Model", value)))
    raise NotImplementedError(_no_encoding(value))


def _deterministic_hook(value: object) -> object:
    if not is_model(type(value)):
        raise NotImplementedError(_no_encoding(value))
    model = cast("_Model", value)
    try:  # the python form keeps sets as sets, which the encoder then sorts
        return msgspec.Raw(_DETERMINISTIC.encode(model.model_dump(by_alias=True, round_trip=True)))
    except TypeError:  # a type only pydantic can write
        return cast("object", msgspec.json.decode(_model_json(model)))


def _decode_hook(type_: type, value: object) -> object:
    if not is_model(type_):
        raise NotImplementedError(_shown(type_))
    # Through JSON once more: pydantic reads dates and the like from JSON text but not from a str object.
    return type_.model_validate_json(msgspec.json.encode(value))


def _schema_hook(type_: type) -> dict[str, Any]:
    if not is_model(type_):
        raise NotImplementedError(_shown(type_))
    return inlined(_model_schema(type_))


def _model_schema(model: type[_Model]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except Exception as error:  # whatever pydantic raises: its classes are not imported here
        raise NoCodec(f"{_shown(model)}: {error}") from error


def _schema_of(type_: object) -> dict[str, Any]:
    if is_model(type_):
        return _model_schema(type_)
    try:
        return msgspec.json.schema(cast("Any", type_), schema_hook=_schema_hook)
    except (TypeError, NameError) as error:
        raise NoCodec(f"{_shown(type_)}: no schema: {error}") from error


# --- encoding ---------------------------------------------------------------------------------------------

_PLAIN: Final = msgspec.json.Encoder(enc_hook=_encode_hook)
_DETERMINISTIC: Final = msgspec.json.Encoder(enc_hook=_deterministic_hook, order="deterministic")


def _encoded(encoder: msgspec.json.Encoder, value: object) -> bytes:
    try:
        return encoder.encode(value)
    except (TypeError, ValueError, NotImplementedError, OverflowError, RecursionError) as error:
        raise NoCodec(f"{_shown(type(value))} cannot be encoded: {error}") from error


def _no_encoding(value: object) -> str:
    return f"{_article(_shown(type(value)))} has no JSON encoding"


def _shown(type_: object) -> str:
    return type_.__qualname__ if isinstance(type_, type) and not hasattr(type_, "__args__") else str(type_)


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


# --- schemas, compared by what they accept (JSON Schema 2020-12; only local references occur) -------------

_FOR_PEOPLE: Final = frozenset({"title", "description", "examples", "$comment", "deprecated"})
_MAPS_OF_SCHEMAS: Final = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs"})
_DATA: Final = frozenset({"default", "const", "enum"})
_UNORDERED: Final = frozenset({"required", "enum", "anyOf"})
_PREFIX: Final = "#/$defs/"


def _schema_hash(schema: Schema) -> int:
    digest = blake2b(_DETERMINISTIC.encode(normalised(schema)), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def normalised(schema: Schema) -> Schema:
    """Return an equal ``schema`` in one form: inlined, without titles and the like, sets of things sorted."""
    return _bare(inlined(schema))


def inlined(schema: Schema) -> Schema:
    """Return ``schema`` with every local reference replaced by what it means.

    A recursive reference becomes ``{"$ref": "#up/<n>"}``: n references further out, whatever their names.
    """
    resolved = _inline(schema, schema.get("$defs", {}), ())
    resolved.pop("$defs", None)
    return resolved


def _inline(schema: Schema, defs: Schema, open_: tuple[str, ...]) -> Schema:
    name = _reference(schema, defs)
    if name is None:
        return {key: _inline_value(key, value, defs, open_) for key, value in schema.items() if key != "$defs"}
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    if name in open_:
        return {**beside, "$ref": f"#up/{len(open_) - open_.index(name)}"}
    return _inline(defs[name], defs, (*open_, name)) | _inline(beside, defs, open_)


def _reference(schema: Schema, defs: Schema) -> str | None:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith(_PREFIX):
        return None
    name = reference.removeprefix(_PREFIX).replace("~1", "/").replace("~0", "~")
    return name if name in defs else None


def _inline_value(key: str, value: object, defs: Schema, open_: tuple[str, ...]) -> object:
    match value:
        case _ if key in _DATA:
            return value
        case dict() if key in _MAPS_OF_SCHEMAS:
            return {name: _inline_value("", part, defs, open_) for name, part in value.items()}
        case dict():
            return _inline(value, defs, open_)
        case list():
            return [_inline_value("", part, defs, open_) for part in value]
        case _:
            return value


def _bare(schema: Schema) -> Schema:
    return {key: _bare_value(key, value) for key, value in schema.items() if key not in _FOR_PEOPLE}


def _bare_value(key: str, value: object) -> object:
    match value:
        case list() if key in _UNORDERED:
            inner = "const" if key == "enum" else ""
            return sorted((_bare_value(inner, part) for part in value), key=_DETERMINISTIC.encode)
        case _ if key in _DATA:
            return value
        case dict() if key in _MAPS_OF_SCHEMAS:
            return {name: _bare_value("", part) for name, part in value.items()}
        case dict():
            return _bare(value)
        case list():
            return [_bare_value("", part) for part in value]
        case _:
            return value

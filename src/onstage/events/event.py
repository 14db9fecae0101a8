"""``@event`` names a class and makes it an event: encodable, with a key, known to no global registry.

What is known about the class stands in its own ``__dict__`` as an ``EventType``. A subclass is therefore not
an event by inheritance, and two applications in one process share nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from enum import Enum
from typing import Any, Final, TypeVar, cast, final, get_type_hints, is_typeddict, overload

import msgspec
from msgspec import inspect as described

from onstage.errors import InvalidEvent, refusal
from onstage.events.codec import Codec, NoCodec, codec_for, is_model
from onstage.events.envelope import NAME_BYTES_MAX
from onstage.events.topic import SYSTEM_PREFIX
from onstage.events.ways import VERSION_MAX, Ways

__all__ = ["EventType", "define_event", "event", "event_type", "field_names", "is_event", "mark_event", "place_of"]

T = TypeVar("T")
_MARK: Final = "__onstage_event__"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9][a-z0-9_-]*)*")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@final
@dataclass(frozen=True, slots=True, eq=False)
class EventType:
    """What is known about one event class; made by ``@event``, found with ``event_type``. Equal by identity.

    ``where`` is the place of the definition, ``"file.py:12"``. ``encode(obj) -> bytes`` and
    ``decode(data) -> obj`` are the functions of ``codec`` (see there for what they raise).
    """

    name: str
    version: int
    cls: type[Any]
    key: str | None
    codec: Codec[Any]
    where: str
    encode: Callable[[Any], bytes] = field(init=False, repr=False)
    decode: Callable[[bytes], Any] = field(init=False, repr=False)
    ways: Ways = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Bind the codec's functions, so that a call costs no lookup in between."""
        object.__setattr__(self, "encode", self.codec.encode)
        object.__setattr__(self, "decode", self.codec.decode)
        object.__setattr__(self, "ways", Ways(self.name, self.cls.__name__))

    def encode_from_outside(self, obj: object) -> bytes:
        """Encode what a caller wants to emit.

        Raises:
            InvalidEvent: if it cannot be encoded, with what is wrong with it.
        """
        try:
            return self.encode(obj)
        except Exception as error:
            raise InvalidEvent(
                f"{self.name}: this {type(obj).__qualname__} cannot be encoded\n  why: {error}\n"
                f"  to do: correct it as {self.where} declares it"
            ) from error

    def read(self, data: bytes, version: int) -> Any:
        """Return the event in ``data``, written as ``version`` of this type.

        Raises:
            DecodeFailed: if there is no way from that version to this one (see ``onstage.versions.upcast``).
            Exception: of any kind, as ``decode`` does.
        """
        return self.decode(data if version == self.version else self.ways.lift(data, version, self.version))

    def key_of(self, obj: object) -> str | None:
        """Return the key of the event ``obj`` as text; None if it has no key field or that field is None."""
        if self.key is None:
            return None
        value = getattr(obj, self.key)
        if type(value) is str:
            return value
        if isinstance(value, Enum):
            value = value.value
        return None if value is None else str(value)


@overload
def event(cls: type[T], /) -> type[T]: ...


@overload
def event(name: str | None = None, /, *, key: str | None = None, version: int = 1) -> Callable[[type[T]], type[T]]: ...


def event(
    name: type[T] | str | None = None, /, *, key: str | None = None, version: int = 1
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a dataclass, ``msgspec.Struct``, attrs class or pydantic model an event; it stands on top.

    ``name`` is lower-case tokens joined by dots and defaults to the kebab-cased class name. ``key`` is the
    field that orders and correlates. ``version`` grows with the shape. The class itself is returned.

    Raises:
        DefinitionError: if the class cannot be encoded, or the name, key or version is not possible.
    """
    where = _caller()
    if isinstance(name, type):
        return _marked(name, None, key, version, where)
    given = name
    return lambda cls: _marked(cls, given, key, version, where)


def define_event(cls: type[Any], *, name: str, key: str | None = None, version: int = 1, where: str = "") -> EventType:
    """Return the ``EventType`` of ``cls`` under any ``name``, without marking the class.

    For Onstage's own events (``onstage.*``) and for foreign ones; users write ``@event``.

    Raises:
        DefinitionError: if the class cannot be encoded or the key is not possible.
    """
    _refuse_wrong_kind(cls, where)
    try:
        codec = codec_for(cls)
    except NoCodec as error:
        mend = "give the field a type that JSON can carry, or make its class a dataclass"
        raise refusal(f"event class {cls.__qualname__} cannot be encoded", str(error), mend, where) from error
    _refuse_wrong_key(cls, key, where)
    return EventType(name=name, version=version, cls=cls, key=key, codec=codec, where=where)


def mark_event(cls: type[Any], known: EventType) -> EventType:
    """Make a class of Onstage's own an event: from now on `event_type` finds `known`, which is returned."""
    setattr(cls, _MARK, known)
    return known


def event_type(cls: type[Any]) -> EventType:
    """Return what is known about the event class ``cls``.

    Raises:
        DefinitionError: if ``cls`` was not itself made an event with ``@event``.
    """
    # The mark is looked up in the class's own namespace: a subclass must be declared on its own.
    found = getattr(cls, "__dict__", _NOTHING).get(_MARK)
    if found is None:
        shown = getattr(cls, "__qualname__", None) or repr(cls)
        raise refusal(
            f"{shown} is not an event",
            "it was not itself decorated with @event (which is not inherited)",
            f"put @event above the class {shown}, or name the event class you meant",
            place_of(cls),
        )
    return cast("EventType", found)


def is_event(cls: object) -> bool:
    """Say whether ``cls`` is a class that was itself made an event."""
    return isinstance(cls, type) and _MARK in cls.__dict__


def place_of(thing: object) -> str:
    """Return where ``thing`` is defined: ``"file.py:12"`` of a function, the file of a class, else empty."""
    code = getattr(thing, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    if not isinstance(thing, type):
        return ""
    line = thing.__dict__.get("__firstlineno__")  # Python 3.13 and later
    file = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return f"{file}:{line}" if file and line else file or ""


_NOTHING: Final[dict[str, object]] = {}


def _caller() -> str:
    frame = sys._getframe(2)  # noqa: SLF001 - the documented way that costs no source lookup
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _marked(cls: type[T], name: str | None, key: str | None, version: int, where: str) -> type[T]:
    if not isinstance(cls, type):
        raise refusal(f"@event on {cls!r}", "it is not a class", "put @event above a class", where)
    full_name = _kebab(cls.__name__) if name is None else name
    _refuse_wrong_name(full_name, cls, where)
    if type(version) is not int or not 1 <= version <= VERSION_MAX:
        why = f"a version is a whole number from 1 to {VERSION_MAX}"
        raise refusal(f"event {full_name} has version {version!r}", why, "write version=2, say", where)
    if is_event(cls):
        first = event_type(cls)
        why = f"it is already the event {first.name}, declared at {first.where}"
        raise refusal(f"@event twice on {cls.__qualname__}", why, "remove one of the two decorators", where)
    known = define_event(cls, name=full_name, key=key, version=version, where=where)
    try:
        setattr(cls, _MARK, known)
    except (AttributeError, TypeError) as error:
        what, why = f"{cls.__qualname__} cannot be an event", f"the class accepts no new attribute: {error}"
        raise refusal(what, why, "declare a dataclass instead", where) from error
    return cls


def _kebab(class_name: str) -> str:
    return _HUMP.sub("-", class_name.strip("_")).lower()


def _refuse_wrong_name(name: object, cls: type[Any], where: str) -> None:
    what = f"event class {cls.__qualname__} cannot be named {name!r}"
    mend = f'write a name such as "shop.{_kebab(cls.__name__)}"'
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        why = "a name is tokens of a-z, 0-9, - and _, joined by dots, each beginning with a-z or 0-9"
        raise refusal(what, why, mend, where)
    if name.startswith(SYSTEM_PREFIX) or name == SYSTEM_PREFIX.rstrip("."):
        raise refusal(what, f"{SYSTEM_PREFIX!r} is reserved for Onstage itself", mend, where)
    if len(name) > NAME_BYTES_MAX:
        raise refusal(what[:NAME_BYTES_MAX], f"it is longer than {NAME_BYTES_MAX} bytes", mend, where)


def _refuse_wrong_kind(cls: type[Any], where: str) -> None:
    what = f"{cls.__qualname__} cannot be an event"
    if is_typeddict(cls):
        why = "it is a TypedDict, and a dict has no type to match on"
        raise refusal(what, why, "declare it as a dataclass; a TypedDict may be the type of a field", where)
    if is_dataclass(cls) or hasattr(cls, "__attrs_attrs__") or issubclass(cls, msgspec.Struct) or is_model(cls):
        return
    why = "it is neither a dataclass, a msgspec.Struct, an attrs class nor a pydantic model"
    mend = f"write @dataclass(frozen=True) between @event and class {cls.__name__} (@event stands on top)"
    raise refusal(what, why, mend, where)


# --- keys -------------------------------------------------------------------------------------------------

_KEY_TYPES: Final = (
    described.StrType,
    described.IntType,
    described.BoolType,
    described.NoneType,
    described.AnyType,
    described.UUIDType,
    described.DateType,
    described.DateTimeType,
    described.DecimalType,
    described.EnumType,
    described.LiteralType,
)


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of an event class, of whichever kind, in their order."""
    if is_dataclass(cls):
        return tuple(cls.__dataclass_fields__)
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    if is_model(cls):
        return tuple(getattr(cls, "model_fields", ()))
    return tuple(part.name for part in getattr(cls, "__attrs_attrs__", ()))


def _refuse_wrong_key(cls: type[Any], key: str | None, where: str) -> None:
    if key is None:
        return
    fields = field_names(cls)
    what = f"event class {cls.__qualname__} cannot have the key {key!r}"
    mend = f"name one of its fields: {', '.join(fields) or 'it has none yet, so add one'}"
    if key not in fields:
        raise refusal(what, "it has no such field", mend, where)
    if not _can_be_key(cls, key):
        raise refusal(what, "a key is text, a whole number, a UUID, a date or an enum", mend, where)


def _can_be_key(cls: type[Any], key: str) -> bool:
    try:
        node = described.type_info(get_type_hints(cls, include_extras=True)[key])
    except (NameError, TypeError, KeyError):
        return True  # a hint only its own library understands (a pydantic type): str() will do
    parts = node.types if isinstance(node, described.UnionType) else (node,)
    return all(isinstance(_plain(part), _KEY_TYPES) for part in parts)


def _plain(node: described.Type) -> described.Type:
    return node.type if isinstance(node, described.Metadata) else node

"""What has changed between two JSON Schemas of an event type, and whether what was written before can still be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from onstage.events.codec import normalised

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SchemaChange", "schema_changes"]

Schema = dict[str, Any]


class SchemaChange(NamedTuple):
    """One change in words; with `breaks` the newer schema refuses what the older one accepted."""

    words: str
    breaks: bool


_WHOLE: Final = "the payload"
_SAID: Final = frozenset({"default"})
_NULL: Final = {"type": "null"}
_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode


def schema_changes(older: Schema, newer: Schema) -> tuple[SchemaChange, ...]:
    """The changes from `older` to `newer`, those that break first.

    Both are JSON Schemas (2020-12) in which only local references occur. What is not an object, a list or a choice is
    compared as a whole: another limit or format counts as a break, unless the newer one asks for less.
    """
    found = _compared(_WHOLE, normalised(older), normalised(newer))
    return tuple(sorted(found, key=lambda change: not change.breaks))


def _compared(at: str, older: Schema, newer: Schema) -> Iterator[SchemaChange]:
    was, now = _choices(older), _choices(newer)
    if was == now:
        return
    if _NULL in was and _NULL not in now:
        yield SchemaChange(f"{at} may be null no longer", breaks=True)
    if _NULL in now and _NULL not in was:
        yield SchemaChange(f"{at} may be null", breaks=False)
    was, now = ([each for each in choices if each != _NULL] for choices in (was, now))
    if len(was) == len(now) == 1:
        yield from _of_one_kind(at, was[0], now[0])
    elif gone := [each for each in was if not any(_takes(each, new) for new in now)]:
        yield SchemaChange(f"{at} was also {_words(gone[0])}, and is {_all_words(now)}", breaks=True)
    elif was != now:
        yield SchemaChange(f"{at} may be {_all_words(now)}", breaks=False)


def _of_one_kind(at: str, older: Schema, newer: Schema) -> Iterator[SchemaChange]:
    if older == newer:
        return
    if "properties" in older and "properties" in newer:
        yield from _of_fields(at, older, newer)
    elif (
        "items" in older and "items" in newer and isinstance(older["items"], dict) and isinstance(newer["items"], dict)
    ):
        yield from _compared(f"each of {at}", older["items"], newer["items"])
    elif not _takes(older, newer):
        yield SchemaChange(f"{at} is {_words(newer)}, was {_words(older)}", breaks=True)
    else:
        yield SchemaChange(f"{at} takes more: {_words(newer)}, was {_words(older)}", breaks=False)


def _of_fields(at: str, older: Schema, newer: Schema) -> Iterator[SchemaChange]:
    was, now = older["properties"], newer["properties"]
    needed, needed_before = set(newer.get("required", ())), set(older.get("required", ()))
    prefix = "" if at == _WHOLE else f"{at}."
    for name in sorted(now.keys() - was.keys()):
        is_needed = name in needed
        yield SchemaChange(f"{prefix}{name} is new{' and needed' if is_needed else ''}", breaks=is_needed)
    for name in sorted(was.keys() - now.keys()):
        yield SchemaChange(f"{prefix}{name} is gone", breaks=newer.get("additionalProperties") is False)
    for name in sorted(was.keys() & now.keys()):
        if name in needed - needed_before:
            yield SchemaChange(f"{prefix}{name} is needed now", breaks=True)
        if name in needed_before - needed:
            yield SchemaChange(f"{prefix}{name} may be left out", breaks=False)
        yield from _compared(f"{prefix}{name}", was[name], now[name])


def _choices(schema: Schema) -> list[Schema]:
    """What it may be, one schema for each kind, without what is said beside it."""
    bare = {key: value for key, value in schema.items() if key not in _SAID}
    if "anyOf" in bare:
        return [each for part in bare["anyOf"] for each in _choices(part)]
    kinds = bare.get("type")
    if isinstance(kinds, list):
        return [{**bare, "type": kind} for kind in kinds]
    return [bare]


def _takes(older: Schema, newer: Schema) -> bool:
    """Whether `newer` surely accepts whatever `older` accepts; of two that cannot be compared it is not sure."""
    if older == newer or not newer:
        return True
    if "enum" in older and "enum" in newer:
        return all(each in newer["enum"] for each in older["enum"])
    asked = {key: value for key, value in newer.items() if key != "type"}
    same_kind = newer.get("type") in (older.get("type"), "number" if older.get("type") == "integer" else None)
    return same_kind and all(older.get(key) == value for key, value in asked.items())


def _words(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(_ENCODE(each).decode() for each in schema["enum"])
    if "$ref" in schema:
        return "one like what it is in"
    limits = ", ".join(
        f"{key} {value}"
        for key, value in sorted(schema.items())
        if isinstance(value, str | int | float) and key != "type"
    )
    return f"{schema.get('type', 'anything')}{f' ({limits})' if limits else ''}"


def _all_words(schemas: list[Schema]) -> str:
    return " or ".join(_words(each) for each in schemas) or "nothing but null"

"""What a declaration means: events and durations given, and what a handler's annotation and source tell.

Nothing of the handler is run. What cannot be resolved is left out (the author adds it with ``emits=`` or
``waits=``), except a return annotation, which is the contract and must be understood or refused.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import types
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Never, NoReturn, Union, cast, get_args, get_origin, get_type_hints

from onstage.errors import DefinitionError, refusal
from onstage.events.duration import seconds
from onstage.events.event import EventType, event_type, is_event, place_of

__all__ = [
    "Duration",
    "Events",
    "asked_of",
    "calls_of",
    "code_fingerprint",
    "declared_duration",
    "declared_events",
    "is_marked",
    "keeps_state",
    "refuse_unknown_options",
    "result_annotation",
    "returned_annotation",
    "returned_events",
    "values_named",
    "waited_events",
]

Function = Callable[..., Any]
Duration = str | timedelta | float
Events = type[Any] | Iterable[type[Any]]
_HELPER_DEPTH_MAX: Final = 3
_MISSING: Final = object()
_NOTHING: Final = frozenset({None, types.NoneType, NoReturn, Never})
_GROUPS: Final = frozenset({Union, types.UnionType, tuple, list})


# --- options ----------------------------------------------------------------------------------------------


def declared_events(owner: str, option: str, classes: Events, where: str) -> tuple[EventType, ...]:
    """Return the event types of one class or several, each once; ``owner`` is "handler stock.reserve", say.

    Raises:
        DefinitionError: if one of them is not an event.
    """
    given: object = classes
    # An enum class is iterable as well, but it is one thing.
    one = isinstance(given, type | str) or not isinstance(given, Iterable)
    listed = (given,) if one else tuple(cast("Iterable[object]", given))
    for cls in listed:
        if not is_event(cls):
            shown = _shown(cls)
            mend = f"put @event above class {shown}, or name the event class you meant"
            raise refusal(f"{owner} has {shown} in {option}=", "it is not an event", mend, where)
    return tuple(dict.fromkeys(event_type(cast("type[Any]", cls)) for cls in listed))


def declared_duration(owner: str, option: str, value: Duration, where: str) -> float:
    """Return an option's duration in seconds, greater than 0.

    Raises:
        DefinitionError: if it is not a duration, or nothing could ever be in time for it.
    """
    try:
        value_s, why = seconds(value), "nothing could ever be in time"
    except ValueError as error:
        value_s, why = 0.0, str(error).splitlines()[1].removeprefix("  why: ")
    if value_s <= 0:
        raise refusal(f"{owner} has {value!r} in {option}=", why, 'write "30s", "5m" or "3d", say', where)
    return value_s


def refuse_unknown_options(owner: str, given: Mapping[str, object], known: type[Any], where: str) -> None:
    """Refuse what is not an option of the TypedDict ``known``; a slip would pass in silence otherwise.

    Raises:
        DefinitionError: naming the first such option and all there are.
    """
    names = sorted(known.__annotations__)
    for option in sorted(given.keys() - set(names)):
        mend = f"use one of {', '.join(names)}"
        raise refusal(f"{owner} has the option {option!r}", "there is none so named", mend, where)


# --- returned events --------------------------------------------------------------------------------------


def returned_events(fn: Function, local_names: Mapping[str, object] | None = None) -> tuple[EventType, ...]:
    """Return the events that ``fn`` may return according to its annotation, in its order, each once.

    Understood: events, unions, ``Optional``, ``tuple[A, B]``, ``tuple[A, ...]``, ``list[A]``, ``None``,
    ``NoReturn``. No annotation means none. ``local_names`` are names of the place of definition, which an
    annotation may use beside the module's and the closure's.

    Raises:
        DefinitionError: if a member of the annotation is not an event.
        NameError: if a name in it is not known yet; ask again when the module is complete.
    """
    annotation = returned_annotation(fn, local_names)
    return () if annotation is None else tuple(dict.fromkeys(_members(fn, annotation)))


def returned_annotation(fn: Function, local_names: Mapping[str, object] | None = None) -> object:
    """Return the evaluated return annotation of ``fn``, None if it has none; see ``returned_events``.

    Raises:
        DefinitionError: if it cannot be evaluated.
        NameError: if a name in it is not known yet.
    """
    annotation = getattr(fn, "__annotations__", {}).get("return")
    return None if annotation is None else _resolved(fn, annotation, local_names or {})


def _resolved(fn: Function, annotation: object, local_names: Mapping[str, object]) -> object:
    def bearer() -> None:
        """Bear the one annotation, so that an unknown name in a parameter's does no harm here."""

    bearer.__annotations__ = {"return": annotation}
    names = {**local_names, **_closure(fn)}
    try:
        return cast("object", get_type_hints(bearer, _globals(fn), names, include_extras=True)["return"])
    except NameError:
        raise
    except Exception as error:  # an annotation is any expression, so it raises anything
        raise _bad_annotation(fn, annotation, f"it cannot be evaluated: {error}") from error


def result_annotation(fn: Function, annotation: object, local_names: Mapping[str, object] | None = None) -> object:
    """Return what an annotation of ``fn`` means, of whatever type. Raises as ``returned_events`` does."""
    return _resolved(fn, annotation, local_names or {})


def _members(fn: Function, annotation: object) -> Iterator[EventType]:
    pending = [annotation]
    while pending:
        part = pending.pop()
        origin = get_origin(part)
        if origin in _GROUPS:
            pending.extend(arg for arg in reversed(get_args(part)) if arg not in (Ellipsis, ()))
        elif origin is Annotated:
            pending.append(get_args(part)[0])
        elif is_event(part):
            yield event_type(cast("type[Any]", part))
        elif not _is_nothing(part):
            raise _bad_annotation(fn, part, f"{_shown(part)} is not an event")


def _is_nothing(part: object) -> bool:
    try:
        return part in _NOTHING
    except TypeError:
        return False


def _bad_annotation(fn: Function, part: object, why: str) -> DefinitionError:
    name = getattr(fn, "__qualname__", repr(fn))
    mend = f"return events, a tuple or list of them, or None; or put @event above {_shown(part)}"
    return refusal(f"handler {name} cannot return {_shown(part)}", why, mend, place_of(fn))


def _shown(part: object) -> str:
    # list[int] passes for a type as well, but its name is only "list".
    if isinstance(part, type) and not get_args(part):
        return part.__qualname__
    return repr(part) if isinstance(part, str) else str(part)


# --- waited events ----------------------------------------------------------------------------------------


def waited_events(fn: Function) -> tuple[type[Any], ...]:
    """Return the event classes that ``fn`` waits for, as far as its source tells, in its order, each once.

    A wait is a call of something that carries ``__onstage_wait__ = True``. Plain functions that ``fn`` calls
    are followed to a depth of three. A handler whose code names no wait is not parsed at all.
    """
    found: dict[type[Any], None] = {}
    for part in _reachable(fn):
        if _names_a_wait(part):
            found.update(dict.fromkeys(_waits_in(part)))
    return tuple(found)


def asked_of(fn: Function) -> tuple[object, ...]:
    """Return whom ``fn`` asks, as far as its source tells: request classes, and workflows that it starts.

    Such a call is one of something that carries ``__onstage_asks__ = True``: its first argument is the workflow, or
    makes the request (``ask(GetQuote("sku"))``). What is found is not checked. Followed as ``waited_events`` does.
    """
    found: dict[int, object] = {}
    for part in _reachable(fn):
        if any(is_marked(value, "__onstage_asks__") for value in _named_values(part)):
            found.update((id(value), value) for value in _asked_in(part))
    return tuple(found.values())


def _asked_in(fn: Function) -> Iterator[object]:
    for call in _calls(fn):
        if call.args and is_marked(_value(fn, call.func), "__onstage_asks__"):
            first = call.args[0]
            value = _value(fn, first.func if isinstance(first, ast.Call) else first)
            if value is not _MISSING:
                yield value


def values_named(fn: Function) -> tuple[tuple[Function, tuple[object, ...]], ...]:
    """Return ``fn`` and the plain functions that it calls, each with what the names in its code stand for."""
    return tuple((part, tuple(_named_values(part))) for part in _reachable(fn))


def calls_of(fn: Function, marker: str) -> Iterator[tuple[ast.Call, tuple[type[Any], ...]]]:
    """Yield the calls that ``fn`` itself makes of what carries ``marker``, and the events they are given; parses it."""
    for call in _calls(fn):
        if is_marked(_value(fn, call.func), marker):
            yield call, tuple(each for argument in call.args for each in _event_classes(_value(fn, argument)))


def is_marked(value: object, marker: str) -> bool:
    """Whether a function or an object carries ``marker``, as ``__onstage_wait__``; a class or a module never does."""
    if isinstance(value, types.FunctionType):
        return value.__dict__.get(marker) is True
    is_plain = isinstance(value, types.ModuleType | type)
    return not is_plain and inspect.getattr_static(value, marker, False) is True


def _reachable(fn: Function) -> list[Function]:
    """Return ``fn`` and the plain functions it names, level by level, each once."""
    every, level = [fn], [fn]
    for _ in range(_HELPER_DEPTH_MAX):
        named = [value for part in level for value in _named_values(part) if _is_helper(value)]
        level = [cast("Function", value) for value in dict.fromkeys(named) if value not in every]
        every.extend(level)
    return every


def _is_helper(value: object) -> bool:
    if not isinstance(value, types.FunctionType) or hasattr(value, "__onstage_wait__"):
        return False
    package = (value.__module__ or "").partition(".")[0]
    return package != "onstage" and package not in sys.stdlib_module_names


def _names_a_wait(fn: Function) -> bool:
    return any(is_marked(value, "__onstage_wait__") for value in _named_values(fn))


def _named_values(fn: Function) -> Iterator[object]:
    """Yield what the names in the code of ``fn`` stand for, attributes of modules included."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return
    names = dict.fromkeys(name for part in _codes(code) for name in (*part.co_names, *part.co_freevars))
    values = [_lookup(fn, name) for name in names]
    yield from (value for value in values if value is not _MISSING)
    for module in values:
        if isinstance(module, types.ModuleType):
            yield from (_attribute(module, name) for name in names)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


def _waits_in(fn: Function) -> Iterator[type[Any]]:
    for call in _calls(fn):
        if is_marked(_value(fn, call.func), "__onstage_wait__"):
            for argument in call.args:
                yield from _event_classes(_value(fn, argument))


def _calls(fn: Function) -> Iterator[ast.Call]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except (OSError, TypeError, SyntaxError):  # no source (a console, a frozen program) or not a def
        return
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    inside = [node for statement in definition.body for node in ast.walk(statement)]
    calls = [node for node in inside if isinstance(node, ast.Call)]
    yield from sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def _event_classes(value: object) -> Iterator[type[Any]]:
    pending = [value]
    while pending:
        part = pending.pop()
        if is_event(part):
            yield cast("type[Any]", part)
        elif isinstance(part, tuple | list):
            pending.extend(reversed(part))
        elif get_origin(part) in (Union, types.UnionType):
            pending.extend(reversed(get_args(part)))


def _value(fn: Function, node: ast.expr) -> object:
    match node:
        case ast.Name(id=name) if name not in fn.__code__.co_varnames:
            return _lookup(fn, name)
        case ast.Attribute(value=owner, attr=name):
            return _attribute(_value(fn, owner), name)
        case ast.Starred(value=inner):
            return _value(fn, inner)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [_value(fn, part) for part in parts]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [_value(fn, left), _value(fn, right)]
        case _:
            return _MISSING


def _attribute(owner: object, name: str) -> object:
    # A module may fill its names in late (__getattr__); anything else is looked at without running code.
    if isinstance(owner, types.ModuleType):
        late = owner.__name__.partition(".")[0] == "onstage"
        return getattr(owner, name, _MISSING) if late else vars(owner).get(name, _MISSING)
    return inspect.getattr_static(owner, name, _MISSING) if isinstance(owner, type) else _MISSING


def _lookup(fn: Function, name: str) -> object:
    closure = _closure(fn)
    return closure[name] if name in closure else _globals(fn).get(name, _MISSING)


def _globals(fn: Function) -> dict[str, Any]:
    return cast("dict[str, Any]", getattr(fn, "__globals__", {}))


def _closure(fn: Function) -> dict[str, object]:
    cells = getattr(fn, "__closure__", None) or ()
    found: dict[str, object] = {}
    for name, cell in zip(fn.__code__.co_freevars if cells else (), cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


# --- keyed state ------------------------------------------------------------------------------------------


def keeps_state(fn: Function) -> bool:
    """Return whether ``fn`` reads a keyed state, as far as its source tells.

    That is a call of something that carries ``__onstage_state__ = True``. Helpers are followed as for waits.
    """
    marker = "__onstage_state__"
    named = (part for part in _reachable(fn) if any(is_marked(value, marker) for value in _named_values(part)))
    return any(is_marked(_value(part, call.func), marker) for part in named for call in _calls(part))


# --- the print of the code --------------------------------------------------------------------------------


def code_fingerprint(fn: Function) -> int:
    """Return a CRC-32 of the bytecode, names and constants of ``fn``, nested functions included.

    The same in every process of one Python version. Docstrings, comments and line numbers do not count.
    """
    code = getattr(fn, "__code__", None)
    return zlib.crc32(_code_text(code).encode()) if isinstance(code, types.CodeType) else 0


def _code_text(code: types.CodeType) -> str:
    # In 3.11 to 3.13 the first constant of a function is its docstring, or None.
    consts = code.co_consts
    if consts and isinstance(consts[0], str) and code.co_flags & inspect.CO_NEWLOCALS:
        consts = (None, *consts[1:])
    parts = (code.co_code.hex(), repr(code.co_names), repr(code.co_freevars), *map(_const_text, consts))
    return "(" + "|".join(parts) + ")"


def _const_text(const: object) -> str:
    match const:
        case types.CodeType():
            return _code_text(const)
        case frozenset():
            return "{" + ",".join(sorted(map(_const_text, const))) + "}"
        case tuple():
            return "(" + ",".join(map(_const_text, const)) + ")"
        case _:
            return f"{type(const).__name__}:{const!r}"

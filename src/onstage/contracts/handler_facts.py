"""What a handler's annotation and source tell beside the events: its alternatives, timers, steps, rejections.

Facts for whoever looks at manifests (`onstage check`); nothing at run time depends on them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Final, Union, cast, final, get_args, get_origin

from onstage.contracts.inference import calls_of, is_marked, returned_annotation, values_named
from onstage.contracts.manifest import StepManifest
from onstage.errors import Reject
from onstage.events.event import event_type, is_event

__all__ = ["Alternatives", "Facts", "facts_of", "returned_alternatives"]

Function = Callable[..., Any]
Alternatives = tuple[tuple[str, ...], ...]

_KEPT: Final = 64
"""A handler with more alternatives than this has none that are known; nobody reads as many."""


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """See `HandlerManifest`, where these fields have the same names."""

    timer: bool = False
    rejects: bool = False
    steps: tuple[StepManifest, ...] = ()
    inferred: bool = True


def returned_alternatives(fn: Function, local_names: Mapping[str, object] | None = None) -> Alternatives:
    """Return the ways in which ``fn`` may end according to its annotation, sorted; each is the events it then emits.

    A union has those of its members, a tuple emits one of each, a list or ``tuple[A, ...]`` may be empty. Nothing
    returned is one way, without events.

    Raises:
        DefinitionError: if the annotation cannot be evaluated.
        NameError: if a name in it is not known yet.
    """
    found = _ways(returned_annotation(fn, local_names))
    return tuple(sorted(found)) if len(found) <= _KEPT else ()


def _ways(part: object) -> set[tuple[str, ...]]:
    origin, arguments = get_origin(part), get_args(part)
    if is_event(part):
        return {(event_type(cast("type[Any]", part)).name,)}
    if origin is Annotated:
        return _ways(arguments[0])
    if origin in (Union, types.UnionType):
        return {way for each in arguments for way in _ways(each)}
    if origin is list or Ellipsis in arguments:
        return {(), *_ways(arguments[0])}
    if origin is tuple:
        return _together([_ways(each) for each in arguments if each != ()])
    return {()}


def _together(parts: list[set[tuple[str, ...]]]) -> set[tuple[str, ...]]:
    # One part after the other, so that many of them end at the limit and not in every combination.
    found: set[tuple[str, ...]] = {()}
    for part in parts:
        found = {tuple(sorted({*one, *other})) for one, other in product(found, part)}
        if len(found) > _KEPT:
            break
    return found


def facts_of(fn: Function) -> Facts:
    """Return what the code of ``fn``, and of the plain functions that it calls, tells."""
    parts = values_named(fn)
    named = tuple({id(value): value for _, values in parts for value in values}.values())
    waiting, emitting = _naming(parts, "__onstage_wait__"), _naming(parts, "__onstage_emit__")
    waits = [each for part in waiting for each in calls_of(part, "__onstage_wait__")]
    emits = [each for part in emitting for each in calls_of(part, "__onstage_emit__")]
    limited = any(word.arg == "timeout" for call, _ in waits for word in call.keywords)
    later = any(word.arg in ("after", "at") for call, _ in emits for word in call.keywords)
    return Facts(
        timer=limited or later or any(is_marked(value, "__onstage_timer__") for value in named),
        rejects=any(isinstance(value, type) and issubclass(value, Reject) for value in named),
        steps=tuple(sorted({_step(value) for value in named if is_marked(value, "__onstage_step__")})),
        inferred=all(classes for _, classes in waits) and len(waits) >= len(waiting),
    )


def _naming(parts: tuple[tuple[Function, tuple[object, ...]], ...], marker: str) -> list[Function]:
    return [part for part, values in parts if any(is_marked(value, marker) for value in values)]


def _step(value: Any) -> StepManifest:
    return StepManifest(
        name=str(value.name),
        undo=getattr(value, "undo_name", None) is not None,
        pivot=getattr(value, "is_pivot", False),
    )

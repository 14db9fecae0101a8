"""Finds steps with an undo by their journaled names, without running a handler: they are looked for in its module."""

from __future__ import annotations

from contextlib import suppress
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from onstage.runtime.step import Durable, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["durables_of", "undo_steps_of"]


def durables_of(functions: Iterable[Callable[..., Any]]) -> tuple[Durable[Any], ...]:
    """Every step and transaction that a handler's module names, or that a module named by the handler's code has."""
    seen: set[int] = set()
    return tuple({id(each): each for function in functions for each in _reachable(function, seen)}.values())


def undo_steps_of(functions: Iterable[Callable[..., Any]]) -> dict[str, Step[..., Any]]:
    """Those of them that are steps with an undo, by the name under which it is journaled."""
    steps = [each for each in durables_of(functions) if isinstance(each, Step)]
    return {step.undo_name: step for step in steps if step.undo_name is not None}


def _reachable(function: Callable[..., Any], seen: set[int]) -> Iterator[Durable[Any]]:
    if not isinstance(function, FunctionType):
        return
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not assigned yet
            if isinstance(cell.cell_contents, Durable):
                yield cell.cell_contents
    names = function.__globals__
    for name in function.__code__.co_names:
        module = names.get(name)
        if isinstance(module, ModuleType):
            yield from (each for each in vars(module).values() if isinstance(each, Durable))
    if id(names) in seen:
        return
    seen.add(id(names))
    yield from (each for each in tuple(names.values()) if isinstance(each, Durable))

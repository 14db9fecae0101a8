"""Finds steps with an undo by their journaled names, without running a handler: they are looked for in its module."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from onstage.runtime.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["undo_steps_of"]


def undo_steps_of(functions: Iterable[Callable[..., Any]]) -> dict[str, Step[..., Any]]:
    """Every step with an undo that a handler's module names, or that a module named by the handler's code has."""
    found: dict[str, Step[..., Any]] = {}
    seen: set[int] = set()
    for function in functions:
        for step in _reachable(function, seen):
            if step.undo_name is not None:
                found[step.undo_name] = step
    return found


def _reachable(function: Callable[..., Any], seen: set[int]) -> Iterator[Step[..., Any]]:
    if not isinstance(function, FunctionType):
        return
    for cell in function.__closure__ or ():
        if isinstance(cell.cell_contents, Step):
            yield cell.cell_contents
    names = function.__globals__
    for name in function.__code__.co_names:
        module = names.get(name)
        if isinstance(module, ModuleType):
            yield from (each for each in vars(module).values() if isinstance(each, Step))
    if id(names) in seen:
        return
    seen.add(id(names))
    yield from (each for each in tuple(names.values()) if isinstance(each, Step))

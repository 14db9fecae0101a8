"""Code that changes while executions are open: `upcast`, the way from an older version to a newer one.

An event class says its version with `@event(..., version=2)`, a step that of what it records with `@step(version=2)`.
What was stored under an older version is lifted, one `upcast` after the other, whenever it is decoded: for handlers,
waits and mail, for dead letters that are tried again, for events from other nodes; for recorded results on replay, and
for what an undo is given. Nothing stored is changed by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from onstage.errors import refusal
from onstage.events.event import event_type, is_event, place_of
from onstage.events.ways import Lift
from onstage.runtime.step import Durable, Step

__all__ = ["upcast"]

L = TypeVar("L", bound=Lift)


def upcast(
    target: type[Any] | Durable[Any],
    since: int,
    until: int,
    /,
    *,
    part: Literal["result", "arguments"] = "result",
) -> Callable[[L], L]:
    """Declare the decorated function the way from version `since` of an event or step to version `until`.

    It is given the plain value that JSON holds (of an event a dict) and returns that of the later version, or the
    object itself. Of a step it lifts recorded results; with `part="arguments"` the recorded arguments, as a list, that
    its undo is given. The function must be pure: it may run again at each replay.

    Raises DefinitionError for a target that is neither, a version beyond the newest, or two ways from one version.
    """

    def declare(lift: L) -> L:
        where = place_of(lift)
        if isinstance(target, Durable):
            if part == "arguments" and not (isinstance(target, Step) and target.undo is not None):
                why = "arguments are recorded for an undo only, and it has none"
                raise refusal(f"@upcast of the arguments of {target.name}", why, "leave part= out, or add undo=", where)
            ways = target.ways if part == "result" else target.call_ways
            ways.add(since, until, lift, newest=target.version, where=where)
        elif is_event(target):
            known = event_type(target)
            known.ways.add(since, until, lift, newest=known.version, where=where)
        else:
            what = f"@upcast of {getattr(target, '__qualname__', repr(target))}"
            raise refusal(what, "it is neither an event class nor a step", "name one of these", where)
        return lift

    return declare

"""``Flow``: what a handler or a service declares about when its executions run, as plain, checked values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast, final, get_origin

from onstage.contracts.inference import Duration, declared_duration
from onstage.errors import refusal
from onstage.events.event import field_names
from onstage.events.rate import Rate, rate_of

if TYPE_CHECKING:
    from onstage.events.event import EventType

__all__ = ["BATCH_MAX", "CONCURRENCY_MAX", "Flow", "FlowOptions", "checked_concurrency", "declared_rate", "flow_of"]

CONCURRENCY_MAX: Final = 100_000
BATCH_MAX: Final = 1_000
"""The most events in one batch."""

BATCH: Final = 100
BATCH_WAIT: Final = "1s"
PRIORITY_MAX: Final = 9
_LIST: Final = ("list[", "List[", "typing.List[")


class FlowOptions(TypedDict, total=False):
    """The options of ``Service.on`` about when executions run.

    ``rate`` ("100/s") limits how many begin, ``rate_per_key`` how many of one key. ``priority`` is 0 to 9 (4), or the
    name of a field of the event that holds it. ``fair_by`` is a field of the event: its values take turns.
    ``debounce`` runs once for events of a key, so long after the last of them, at latest ``max_wait`` after the first.
    ``retry_budget`` is how many retries there may be for each first attempt (0.2, say).
    """

    rate: str | None
    rate_per_key: str | None
    priority: int | str | None
    fair_by: str | None
    debounce: Duration | None
    max_wait: Duration | None
    retry_budget: float | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What a handler declares about when it runs; durations are seconds. ``batch`` is 0 if it takes single events."""

    rate: Rate | None = None
    rate_per_key: Rate | None = None
    priority: int | None = None
    priority_by: str | None = None
    fair_by: str | None = None
    debounce_s: float | None = None
    max_wait_s: float | None = None
    batch: int = 0
    batch_wait_s: float = 0.0
    retry_budget: float | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """What it says, for people: a limit each."""
        limits = {
            "rate": self.rate,
            "rate per key": self.rate_per_key,
            "priority": self.priority_by if self.priority is None else self.priority,
            "fair by": self.fair_by,
            "debounce": _shown(self.debounce_s),
            "at latest after": _shown(self.max_wait_s),
            "batch of": self.batch or None,
            "within": _shown(self.batch_wait_s or None),
            "retry budget": self.retry_budget,
        }
        return tuple(f"{name} {value}" for name, value in limits.items() if value is not None)


def _shown(duration_s: float | None) -> str | None:
    return None if duration_s is None else f"{duration_s:g} s"


_NOTHING: Final = Flow()


def flow_of(
    name: str, where: str, fn: Callable[..., Any] | None, triggers: tuple[EventType, ...], options: Mapping[str, Any]
) -> Flow | None:
    """Return what these options of handler ``name`` declare, None if they declare nothing of the kind.

    Without ``fn`` it takes single events, whatever its parameter is: a workflow's input may be a list.

    Raises:
        DefinitionError: if a value is impossible, a field is unknown, or two options exclude each other.
    """
    owner = f"handler {name}"
    batch, batch_wait_s = _batch(owner, where, fn, options)
    priority = options.get("priority")
    by_field = isinstance(priority, str)
    flow = Flow(
        rate=declared_rate(owner, "rate", options.get("rate"), where),
        rate_per_key=declared_rate(owner, "rate_per_key", options.get("rate_per_key"), where),
        priority=None if by_field else _priority(owner, where, priority),
        priority_by=_field(owner, "priority", priority if by_field else None, where, triggers),
        fair_by=_field(owner, "fair_by", options.get("fair_by"), where, triggers),
        debounce_s=_duration(owner, "debounce", options, where),
        max_wait_s=_duration(owner, "max_wait", options, where),
        batch=batch,
        batch_wait_s=batch_wait_s,
        retry_budget=_budget(owner, where, options.get("retry_budget")),
    )
    _refuse_contradictions(owner, where, flow, options)
    return None if flow == _NOTHING else flow


def declared_rate(owner: str, option: str, text: str | None, where: str) -> Rate | None:
    """Return an option's rate, None if there is none.

    Raises:
        DefinitionError: if it is no rate.
    """
    if text is None:
        return None
    try:
        return rate_of(text)
    except ValueError as error:
        why = str(error).splitlines()[1].removeprefix("  why: ")
        raise refusal(f"{owner} has {option}={text!r}", why, 'write "100/s", "1000/m" or "5/10s", say', where) from None


def checked_concurrency(owner: str, value: object, where: str) -> int:
    """Return how many may run at once.

    Raises:
        DefinitionError: if it is no whole number from 1 to ``CONCURRENCY_MAX``.
    """
    if type(value) is int and 1 <= value <= CONCURRENCY_MAX:
        return value
    why = f"it is a whole number from 1 to {CONCURRENCY_MAX}"
    raise refusal(f"{owner} has concurrency={value!r}", why, "write concurrency=100, say", where)


def takes_list(fn: Callable[..., Any]) -> bool:
    """Whether the function's one parameter is annotated with a list, which makes it a batch handler."""
    for parameter in inspect.signature(fn).parameters.values():
        annotation = parameter.annotation
        is_text = isinstance(annotation, str)
        return annotation.strip().startswith(_LIST) if is_text else get_origin(annotation) is list
    return False


def _batch(owner: str, where: str, fn: Callable[..., Any] | None, options: Mapping[str, Any]) -> tuple[int, float]:
    given = [option for option in ("batch", "batch_wait") if options.get(option) is not None]
    if fn is None or not takes_list(fn):
        if not given:
            return 0, 0.0
        what = f"{owner} has {given[0]}= and takes a single event"
        raise refusal(what, "a batch is handled as a list", "annotate its parameter with list[TheEvent]", where)
    size = options.get("batch", BATCH)
    if type(size) is not int or not 1 <= size <= BATCH_MAX:
        why = f"it is a whole number from 1 to {BATCH_MAX}"
        raise refusal(f"{owner} has batch={size!r}", why, "write batch=100, say", where)
    return size, declared_duration(owner, "batch_wait", options.get("batch_wait", BATCH_WAIT), where)


def _priority(owner: str, where: str, value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= PRIORITY_MAX):
        return value
    why = f"it is a whole number from 0 to {PRIORITY_MAX}, or the name of a field of the event"
    raise refusal(f"{owner} has priority={value!r}", why, "write priority=7, say; 4 is what others have", where)


def _field(owner: str, option: str, name: object, where: str, triggers: tuple[EventType, ...]) -> str | None:
    if name is None:
        return None
    what = f"{owner} has {option}={name!r}"
    if not triggers:
        mend = f"leave {option}= out, or give the event classes a handler of their own"
        raise refusal(what, "a pattern handler gets envelopes of any type", mend, where)
    for known in triggers:
        fields = field_names(known.cls)
        if name not in fields:
            why = f"{known.cls.__qualname__} ({known.where}) has no such field"
            raise refusal(what, why, f"name one of its fields: {', '.join(fields)}", where)
    return cast("str", name)


def _duration(owner: str, option: str, options: Mapping[str, Any], where: str) -> float | None:
    value = options.get(option)
    return None if value is None else declared_duration(owner, option, value, where)


def _budget(owner: str, where: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    why = "it is how many retries there may be for each first attempt: a number from 0 to 1"
    raise refusal(f"{owner} has retry_budget={value!r}", why, "write retry_budget=0.2, say", where)


def _refuse_contradictions(owner: str, where: str, flow: Flow, options: Mapping[str, Any]) -> None:
    if flow.max_wait_s is not None and flow.debounce_s is None:
        raise refusal(f"{owner} has max_wait=", "it limits debounce=, which is not there", "write debounce= too", where)
    if flow.max_wait_s is not None and flow.debounce_s is not None and flow.max_wait_s < flow.debounce_s:
        why = "it would be over before the first pause"
        raise refusal(f"{owner} has a max_wait= shorter than its debounce=", why, "make max_wait= longer", where)
    if not flow.batch:
        return
    for option in ("debounce", "fair_by", "rate_per_key", "key"):
        if options.get(option) is not None:
            why = "a batch takes what has come, in the order of the log"
            raise refusal(f"{owner} handles batches and has {option}=", why, f"leave {option}= out", where)
    if flow.priority_by is not None:
        why = "its events may have several priorities"
        raise refusal(f"{owner} handles batches and has priority= of a field", why, "write a number", where)

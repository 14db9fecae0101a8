"""``Handler`` and its options: one declared reaction.

What a handler names may be defined further down in the module, so what cannot be resolved when it is declared is
resolved by ``Handler.resolve()``, which ``App(...)`` calls.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Generic, Literal, Required, TypeVar, cast, final

from onstage.contracts.flow_options import FlowOptions, checked_concurrency, flow_of
from onstage.contracts.handler_facts import Facts, facts_of, returned_alternatives
from onstage.contracts.inference import (
    Duration,
    Events,
    code_fingerprint,
    declared_duration,
    declared_events,
    keeps_state,
    returned_events,
    waited_events,
)
from onstage.contracts.manifest import HandlerManifest
from onstage.contracts.responding import Asked, Responding, asked_requests, declared_asks
from onstage.contracts.schedule import Schedule, Scheduled, ScheduleOptions, Tick, schedule_of, tick_types
from onstage.errors import refusal
from onstage.events.event import EventType, event_type, field_names, place_of
from onstage.events.process_changed import CHANGED_PREFIX
from onstage.events.topic import Topic

__all__ = ["BatchOptions", "Handler", "HandlerOptions", "scheduled_handler"]

T = TypeVar("T")
R = TypeVar("R")

_HANDLER: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "on_failure": ("block", "park"),
    "lane": ("until-end", "until-wait"),
    "start": ("new", "earliest"),
    "gating": (None, True, False),
}


class HandlerOptions(FlowOptions, total=False):
    """The options of ``Service.on``.

    ``name`` and ``was`` keep identity across renames. ``key`` is a field of the event that replaces its own
    key. ``concurrency`` is how many executions run at once (100). ``retry`` is a ``Retry``. ``on_failure`` is
    "block" or "park", ``lane`` "until-end" or "until-wait". With ``start`` "earliest" a new handler is given the
    events of before it too, with "new" only later ones. ``timeout`` limits one attempt. ``gating`` defaults to
    true, false for patterns and changes of verdict. ``emits`` and ``waits`` add event classes to what is inferred,
    ``asks`` request classes and workflows. When executions run is said by ``FlowOptions``.
    """

    name: str | None
    was: Iterable[str]
    key: str | None
    concurrency: int
    retry: object | None
    on_failure: Literal["block", "park"]
    lane: Literal["until-end", "until-wait"]
    start: Literal["new", "earliest"]
    timeout: Duration | None
    gating: bool | None
    emits: Events
    waits: Events
    asks: Iterable[object]


class BatchOptions(HandlerOptions, total=False):
    """The options of a handler that takes ``list[TheEvent]``: at most ``batch`` events, ``batch_wait`` after the first.

    It runs one batch at a time (``concurrency`` 1); with more, batches overlap and events of a key have no order.
    """

    batch: Required[int]
    batch_wait: Duration


@final
class Handler(Generic[T, R]):
    """One declared reaction; made by ``Service.on``, changed only by ``resolve`` and the node.

    ``fn`` is the plain function, and calling the handler calls it. ``triggers`` are the event types, or empty
    with ``pattern`` set. ``emits`` and ``waits`` are event classes, complete once ``resolved``. ``timeout_s``
    is in seconds. ``keeps_state`` says that it reads a keyed
    state. ``where`` is ``"file.py:12"``, ``code`` the fingerprint of the bytecode. ``responding`` says what its
    result answers, if it answers requests or is a workflow; ``asks`` are names of request types.
    """

    __slots__ = (
        "__weakref__", "_declared_asks", "_emits_known", "alternatives", "asks", "code", "concurrency", "emits",
        "facts", "flow", "fn", "full_name", "gating", "keeps_state", "key", "lane", "name", "on_failure", "pattern",
        "resolved", "responding", "retry", "schedule", "service", "start", "takes_event", "timeout_s", "triggers",
        "waits", "was", "where",
    )  # fmt: skip

    def __init__(
        self,
        service: str,
        fn: Callable[[T], Coroutine[Any, Any, R]],
        *,
        triggers: tuple[EventType, ...],
        pattern: Topic | None,
        options: HandlerOptions,
        responding: Responding | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """Check the function and the options; resolve nothing yet. One with a `schedule` may take no event."""
        self.fn = fn
        self.service: Final = service
        self.where: Final = place_of(fn)
        self.triggers: Final = triggers
        self.pattern: Final = pattern
        self.resolved = False
        self.keeps_state = False
        self._emits_known = responding is not None
        self.responding: Final = responding
        self.asks: tuple[str, ...] = ()
        self.name: Final = _handler_name(fn, options, self.where)
        self.full_name: Final = f"{service}.{self.name}"
        self.schedule: Final = schedule
        self.takes_event: Final = _takes_event(fn, self.full_name, self.where, may_take_none=schedule is not None)
        _refuse_wrong_choices(options, self.full_name, self.where)
        self.was: Final = _former_names(service, options, self.where)
        self.key: Final = _checked_key(self, options.get("key"))
        self.flow: Final = flow_of(self.full_name, self.where, None if responding else fn, triggers, options)
        places = 1 if self.flow is not None and self.flow.batch else 100
        self.concurrency: Final = checked_concurrency(
            f"handler {self.full_name}", options.get("concurrency", places), self.where
        )
        owner, timeout = f"handler {self.full_name}", options.get("timeout")
        limit_s = None if timeout is None else declared_duration(owner, "timeout", timeout, self.where)
        self.timeout_s: Final = limit_s
        self.retry: Final = options.get("retry")
        self.on_failure: Final = options.get("on_failure", "block")
        self.lane: Final = options.get("lane", "until-end")
        self.start: Final = options.get("start", "new")
        gating = options.get("gating")
        tells = any(known.name.startswith(CHANGED_PREFIX) for known in triggers)
        self.gating: Final = pattern is None and not tells if gating is None else gating
        emits = declared_events(owner, "emits", options.get("emits", ()), self.where)
        self.emits = frozenset(known.cls for known in emits) | (responding.classes if responding else frozenset())
        waits = declared_events(owner, "waits", options.get("waits", ()), self.where)
        self.waits = frozenset(known.cls for known in waits)
        self._declared_asks = declared_asks(owner, options.get("asks", ()), self.where)
        self.code: Final = code_fingerprint(fn)
        self.alternatives: tuple[tuple[str, ...], ...] = ()
        self.facts = Facts()

    def __call__(self, event: T, /) -> Coroutine[Any, Any, R]:
        """Call the plain function, as a unit test does."""
        return self.fn(event)

    def __repr__(self) -> str:
        """Return the full name in brackets."""
        return f"Handler[{self.full_name}]"

    def learn_emits(self, local_names: Mapping[str, object] | None = None) -> None:
        """Add the events of the return annotation to ``emits``; once, later calls do nothing.

        Raises:
            DefinitionError: if a member of the annotation is not an event.
            NameError: if a name in it is not known yet.
        """
        if not self._emits_known:
            self.emits |= {known.cls for known in returned_events(self.fn, local_names)}
            self.alternatives = returned_alternatives(self.fn, local_names)
            self._emits_known = True

    def resolve(self) -> None:
        """Complete ``emits`` and ``waits``, when all modules are; once, later calls do nothing.

        Raises:
            DefinitionError: if a member of the return annotation is no event, or a name in it is unknown.
        """
        if self.resolved:
            return
        try:
            self.learn_emits()
        except NameError as error:
            mend = f"import or define {error.name or 'it'} in the module of the handler"
            what = f"the return annotation of handler {self.full_name} cannot be resolved"
            raise refusal(what, str(error), mend, self.where) from error
        self.waits |= frozenset(waited_events(self.fn))
        self._learn_asks(asked_requests(self.full_name, self.fn, self._declared_asks, self.where))
        self.keeps_state = keeps_state(self.fn)
        self.facts = facts_of(self.fn)
        self.resolved = True

    def _learn_asks(self, asked: tuple[Asked, ...]) -> None:
        self.asks = tuple(sorted(each.name for each in asked))
        self.emits |= {each.request for each in asked}
        self.waits |= {each.answer for each in asked}

    def _shown_lane(self) -> str:
        if self.flow is None or not self.flow.batch:
            return self.lane
        return "batch" if self.concurrency == 1 else "batches"

    def manifest(self) -> HandlerManifest:
        """Return what this handler declares, as a plain value; call ``resolve`` before."""
        triggers = (self.pattern.pattern,) if self.pattern else tuple(known.name for known in self.triggers)
        return HandlerManifest(
            name=self.full_name,
            service=self.service,
            triggers=triggers,
            pattern=self.pattern is not None,
            emits=tuple(sorted(event_type(cls).name for cls in self.emits)),
            waits=tuple(sorted(event_type(cls).name for cls in self.waits)),
            gating=self.gating,
            key=self.key,
            on_failure=self.on_failure,
            lane=self._shown_lane(),
            start=self.start,
            was=self.was,
            code=self.code,
            asks=self.asks,
            answers=None if self.responding is None else self.responding.request,
            alternatives=self.alternatives,
            timer=self.facts.timer,
            rejects=self.facts.rejects,
            steps=self.facts.steps,
            inferred=self.facts.inferred,
            flow=() if self.flow is None else self.flow.words,
        )


def scheduled_handler(
    service: str, fn: Scheduled[R], plan: str | timedelta, options: ScheduleOptions, where: str
) -> Handler[Tick, R]:
    """A handler of the runs of a schedule: a dead letter lets the next run begin.

    Raises:
        DefinitionError: as ``Service.every`` says.
    """
    rest = cast("HandlerOptions", {name: value for name, value in options.items() if name not in _OF_THE_CLOCK})
    rest["on_failure"] = "park"
    name = f"{service}.{_handler_name(fn, rest, where)}"
    schedule = schedule_of(name, plan, options, where)
    types = tick_types((name, *_former_names(service, rest, where)), schedule, where)
    return Handler(
        service,
        cast("Callable[[Tick], Coroutine[Any, Any, R]]", fn),
        triggers=types,
        pattern=None,
        options=rest,
        schedule=schedule,
    )


_OF_THE_CLOCK: Final = frozenset(("tz", "overlap", "catch_up"))


def _handler_name(fn: object, options: HandlerOptions, where: str) -> str:
    name = options.get("name") or getattr(fn, "__name__", "")
    if not isinstance(name, str) or not _HANDLER.fullmatch(name):
        why = "a handler name is 1 to 128 of A-Z, a-z, 0-9, - and _"
        raise refusal(f"a handler cannot be named {name!r}", why, 'write name="reserve", say', where)
    return name


def _takes_event(fn: Callable[..., Any], name: str, where: str, *, may_take_none: bool) -> bool:
    if not inspect.iscoroutinefunction(fn):
        mend = "write async def (blocking work belongs in a step, which runs in a thread)"
        raise refusal(f"handler {name} is not an async def function", "a handler awaits its steps", mend, where)
    signature = inspect.signature(fn)
    parameters = tuple(signature.parameters.values())
    if not parameters and may_take_none:
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) != 1 or parameters[0].kind not in positional:
        shown = signature.replace(return_annotation=signature.empty)
        why = f"its parameters are {shown}, but the event is all it is given"
        mend = f"write async def {fn.__name__}(e: TheEvent); state comes from resource(...) inside a step"
        raise refusal(f"handler {name} does not take exactly one event", why, mend, where)
    return True


def _refuse_wrong_choices(options: HandlerOptions, name: str, where: str) -> None:
    for option, choices in _CHOICES.items():
        value = options.get(option, choices[0])
        if value not in choices:
            why, mend = "there is no such choice", f"choose one of {', '.join(map(repr, choices))}"
            raise refusal(f"handler {name} has {option}={value!r}", why, mend, where)


def _former_names(service: str, options: HandlerOptions, where: str) -> tuple[str, ...]:
    was = options.get("was", ())
    names = (was,) if isinstance(was, str) else tuple(was)
    for name in names:
        if not all(map(_HANDLER.fullmatch, name.split(".", 1))):
            mend = 'write was=["old_name"] or was=["service.old_name"]'
            raise refusal(f"{name!r} in was= is not a handler name", "it has other characters", mend, where)
    return tuple(name if "." in name else f"{service}.{name}" for name in names)


def _checked_key(handler: Handler[Any, Any], key: str | None) -> str | None:
    if key is None:
        return None
    what = f"handler {handler.full_name} has key={key!r}"
    if handler.pattern is not None:
        mend = "leave key= out; the envelope's subject is the key"
        raise refusal(what, "a pattern handler gets envelopes of any type", mend, handler.where)
    for known in handler.triggers:
        if key not in field_names(known.cls):
            mend = f"name one of its fields: {', '.join(field_names(known.cls))}"
            why = f"{known.cls.__qualname__} ({known.where}) has no such field"
            raise refusal(what, why, mend, handler.where)
    return key

"""``Service``: a named group of handlers, declared by its decorators.

A handler is checked where it is declared. What it names may be defined further down in the module, so what
cannot be resolved yet is resolved by ``Handler.resolve()``, which ``App(...)`` calls.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any, Final, TypeVar, Unpack, cast, final, overload

from onstage.contracts.flow_options import checked_concurrency, declared_rate
from onstage.contracts.handler import BatchOptions, Handler, HandlerOptions, scheduled_handler
from onstage.contracts.inference import (
    refuse_unknown_options,
)
from onstage.contracts.responding import Responding, answering, workflow_start
from onstage.contracts.schedule import Scheduled, ScheduleOptions, Tick
from onstage.errors import refusal
from onstage.events.answer import Request
from onstage.events.envelope import Envelope
from onstage.events.event import EventType, event_type, is_event, place_of
from onstage.events.topic import Topic

__all__ = ["Lifespan", "Service"]

T = TypeVar("T")
R = TypeVar("R")
E1 = TypeVar("E1")
E2 = TypeVar("E2")
E3 = TypeVar("E3")

Lifespan = Callable[[], AbstractAsyncContextManager[object]]
"""Makes the async context manager that gives a service's steps their resources."""

NAMESPACE: Final = "onstage"
_TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]+(-+[a-z0-9]+)*(\.[a-z0-9]+(-+[a-z0-9]+)*)*")


@final
class Service:
    """A named group of handlers that is deployed as one; plain data until a node runs it.

    ``lifespan`` makes an async context manager that gives resources to steps. ``tables`` is SQL that creates
    the service's own tables. ``namespace`` is the authority in the CloudEvents source ``//namespace/name``.
    ``concurrency`` limits how many executions of all its handlers run at once, ``rate`` ("100/s") how many begin.

    Raises:
        DefinitionError: if the name is not one lower-case token, or is reserved, or the namespace is no host name.
    """

    __slots__ = ("__weakref__", "_handlers", "concurrency", "lifespan", "name", "namespace", "rate", "tables", "where")

    def __init__(
        self,
        name: str,
        *,
        lifespan: Lifespan | None = None,
        tables: str | None = None,
        namespace: str = NAMESPACE,
        concurrency: int | None = None,
        rate: str | None = None,
    ) -> None:
        """Declare the service."""
        self.where: Final = _place_of_caller()
        _refuse_wrong_source(namespace, name, self.where)
        self.name: Final = name
        self.lifespan: Final = lifespan
        self.tables: Final = tables
        self.namespace: Final = namespace
        owner = f"service {name}"
        places = None if concurrency is None else checked_concurrency(owner, concurrency, self.where)
        self.concurrency: Final = places
        self.rate: Final = declared_rate(owner, "rate", rate, self.where)
        self._handlers: dict[str, Handler[Any, Any]] = {}

    @property
    def handlers(self) -> tuple[Handler[Any, Any], ...]:
        """The handlers in the order of their declaration."""
        return tuple(self._handlers.values())

    @property
    def source(self) -> str:
        """The CloudEvents ``source`` of what this service emits."""
        return f"//{self.namespace}/{self.name}"

    @overload
    def on(
        self, pattern: str, /, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[Envelope], Coroutine[Any, Any, R]]], Handler[Envelope, R]]: ...

    @overload
    def on(
        self, a: type[E1], /, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[E1], Coroutine[Any, Any, R]]], Handler[E1, R]]: ...

    @overload
    def on(
        self, a: type[E1], b: type[E2], /, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[E1 | E2], Coroutine[Any, Any, R]]], Handler[E1 | E2, R]]: ...

    @overload
    def on(
        self, a: type[E1], b: type[E2], c: type[E3], /, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[E1 | E2 | E3], Coroutine[Any, Any, R]]], Handler[E1 | E2 | E3, R]]: ...

    @overload
    def on(
        self, a: type[E1], /, **options: Unpack[BatchOptions]
    ) -> Callable[[Callable[[list[E1]], Coroutine[Any, Any, R]]], Handler[list[E1], R]]: ...

    @overload
    def on(
        self, a: type[E1], b: type[E2], /, **options: Unpack[BatchOptions]
    ) -> Callable[[Callable[[list[E1 | E2]], Coroutine[Any, Any, R]]], Handler[list[E1 | E2], R]]: ...

    @overload
    def on(
        self, *triggers: type[Any], **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[Any], Coroutine[Any, Any, R]]], Handler[Any, R]]: ...

    def on(
        self, *triggers: type[Any] | str, **options: Any
    ) -> Callable[[Callable[[Any], Coroutine[Any, Any, Any]]], Handler[Any, Any]]:
        """Declare the decorated ``async def`` a handler of these event classes, or of one topic pattern.

        Its return annotation is what it may emit. A pattern handler gets the ``Envelope``, one that takes
        ``list[TheEvent]`` a batch. See ``HandlerOptions`` and ``BatchOptions`` for the options.

        Raises:
            DefinitionError: if a trigger is not an event, the function does not take just one event, a name
                is taken, or an option has an impossible value.
        """
        where = _place_of_caller()
        classes, pattern = _split_triggers(self.name, triggers, where)
        refuse_unknown_options(f"a handler of service {self.name}", options, BatchOptions, where)
        frame = sys._getframe(1)  # noqa: SLF001 - annotations may name classes of an enclosing function
        local_names = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)

        def declare(fn: Callable[[Any], Coroutine[Any, Any, Any]]) -> Handler[Any, Any]:
            handler = Handler(self.name, fn, triggers=classes, pattern=pattern, options=cast("HandlerOptions", options))
            self._add(handler, local_names)
            return handler

        return declare

    @overload
    def answers(self, fn: Callable[[T], Coroutine[Any, Any, R]], /) -> Handler[T, R]: ...

    @overload
    def answers(
        self, request: type[Request[R]] | None = None, /, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[Any], Coroutine[Any, Any, R]]], Handler[Any, R]]: ...

    def answers(self, request: Any = None, /, **options: Unpack[HandlerOptions]) -> Any:
        """Declare the decorated ``async def`` the one that answers a request; its result is the answer.

        The request is the class that is given, or that of the parameter. The return annotation is what the request
        demands, ``R`` of its ``Request[R]``. What it emits beside the answer is named with ``emits=``. A ``Reject``
        is answered as well: whoever asks gets ``AskFailed``.

        Raises:
            DefinitionError: if it is no request, the return annotation is another type, or as ``on`` does.
        """
        where, local_names = _place_of_caller(), _local_names()
        refuse_unknown_options(f"a handler of service {self.name}", options, HandlerOptions, where)

        def declare(fn: Callable[[Any], Coroutine[Any, Any, Any]]) -> Handler[Any, Any]:
            cls = request if isinstance(request, type) else None
            owner = f"handler {self.name}.{options.get('name') or fn.__name__}"
            known, responding = answering(owner, fn, cls, local_names)
            return self._respond(fn, known, responding, options)

        given = request is None or isinstance(request, type)
        return declare if given else declare(request)

    @overload
    def workflow(self, fn: Callable[[T], Coroutine[Any, Any, R]], /) -> Handler[T, R]: ...

    @overload
    def workflow(
        self, /, **options: Unpack[HandlerOptions]
    ) -> Callable[[Callable[[T], Coroutine[Any, Any, R]]], Handler[T, R]]: ...

    def workflow(self, fn: Any = None, /, **options: Unpack[HandlerOptions]) -> Any:
        """Declare the decorated ``async def`` a workflow: started with one input, ended with one result.

        Start it with ``stage.start``, ``client.start`` or, inside an execution, ``start``. Input and result are of any
        type that JSON can carry. What it emits is named with ``emits=``.

        Raises:
            DefinitionError: if input or result are not annotated or cannot be stored, or as ``on`` does.
        """
        where, local_names = _place_of_caller(), _local_names()
        refuse_unknown_options(f"a workflow of service {self.name}", options, HandlerOptions, where)

        def declare(fn: Callable[[Any], Coroutine[Any, Any, Any]]) -> Handler[Any, Any]:
            known, responding = workflow_start(f"{self.name}.{options.get('name') or fn.__name__}", fn, local_names)
            return self._respond(fn, known, responding, options)

        return declare if fn is None else declare(fn)

    def _respond(
        self,
        fn: Callable[[Any], Coroutine[Any, Any, Any]],
        known: EventType,
        responding: Responding,
        options: HandlerOptions,
    ) -> Handler[Any, Any]:
        if options.get("gating") is False or (responding.is_workflow and options.get("key") is not None):
            what = f"{self.name}.{fn.__name__} has {'key=' if options.get('key') else 'gating=False'}"
            why = "who asks waits for it, and a start has the id it was given as its key"
            raise refusal(what, why, "leave the option out", place_of(fn))
        if options.get("debounce") is not None:
            what = f"{self.name}.{fn.__name__} has debounce="
            raise refusal(what, "who asked for what is skipped would wait for ever", "leave it out", place_of(fn))
        handler = Handler(self.name, fn, triggers=(known,), pattern=None, options=options, responding=responding)
        self._add(handler, {})
        return handler

    def every(
        self, plan: str | timedelta, /, **options: Unpack[ScheduleOptions]
    ) -> Callable[[Scheduled[R]], Handler[Tick, R]]:
        """Declare the decorated ``async def`` a handler that runs by the clock.

        ``plan`` is a cron expression of five fields ("0 9 * * MON-FRI") or an interval ("15m"). The function takes
        nothing, or the ``Tick``. Each run is an event and the root of a process of its own; one that is set aside as a
        dead letter does not hold up the next. See ``ScheduleOptions`` for the options.

        Raises:
            DefinitionError: if the plan or an option is impossible, or the time zone is unknown on this machine.
        """
        where = _place_of_caller()
        refuse_unknown_options(f"a schedule of service {self.name}", options, ScheduleOptions, where)
        frame = sys._getframe(1)  # noqa: SLF001 - annotations may name classes of an enclosing function
        local_names = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)

        def declare(fn: Scheduled[R]) -> Handler[Tick, R]:
            handler = scheduled_handler(self.name, fn, plan, options, where)
            self._add(handler, local_names)
            return handler

        return declare

    def _add(self, handler: Handler[Any, Any], local_names: Mapping[str, object]) -> None:
        taken = self._handlers.get(handler.name)
        if taken is not None:
            what = f"service {self.name} has two handlers named {handler.name}"
            mend = f'rename one, or write name="{handler.name}_2"'
            raise refusal(what, f"the first is at {taken.where}", mend, handler.where)
        with suppress(NameError):  # defined further down: App(...) asks again
            handler.learn_emits(local_names)
        self._handlers[handler.name] = handler

    def __repr__(self) -> str:
        """Return the name in brackets."""
        return f"Service[{self.name}]"


# --- refusals ---------------------------------------------------------------------------------------------


def _local_names() -> Mapping[str, object]:
    frame = sys._getframe(2)  # noqa: SLF001 - annotations may name classes of an enclosing function
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def _place_of_caller() -> str:
    frame = sys._getframe(2)  # noqa: SLF001 - the documented way that costs no source lookup
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _refuse_wrong_source(namespace: object, name: object, where: str) -> None:
    mend = 'write a name such as Service("stock")'
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        why = "a name is 1 to 64 of a-z, 0-9, - and _, beginning with a-z or 0-9"
        raise refusal(f"a service cannot be named {name!r}", why, mend, where)
    if name == "onstage" or (namespace, name) == (NAMESPACE, "door"):  # //onstage/door emits what is from outside
        raise refusal(f"a service cannot be named {name!r}", "it is reserved for Onstage itself", mend, where)
    if not isinstance(namespace, str) or not _HOST.fullmatch(namespace):
        why, mend = "it is the host in a URI: words of a-z, 0-9, - with dots between", 'write "shop.example", say'
        raise refusal(f"service {name} has namespace={namespace!r}", why, mend, where)


def _split_triggers(
    service: str, triggers: tuple[object, ...], where: str
) -> tuple[tuple[EventType, ...], Topic | None]:
    match triggers:
        case (str() as pattern,):
            return (), Topic(pattern, where)
        case ():
            mend = f"write @{service}.on(SomeEvent)"
            raise refusal(f"a handler of service {service} has no trigger", "on() was called empty", mend, where)
        case _:
            known = tuple(_trigger(service, trigger, where) for trigger in triggers)
            return tuple(dict.fromkeys(known)), None


def _trigger(service: str, trigger: object, where: str) -> EventType:
    if is_event(trigger):
        return event_type(cast("type[Any]", trigger))
    shown = trigger.__qualname__ if isinstance(trigger, type) else repr(trigger)
    what = f"service {service} cannot react to {shown}"
    if isinstance(trigger, str):
        mend = "give the pattern a handler of its own, or name the event class"
        raise refusal(what, "a pattern stands alone: its handler gets envelopes, not events", mend, where)
    made_at = f" ({place_of(trigger)})" if place_of(trigger) else ""
    mend = f"put @event above class {shown}{made_at}, or name the event class you meant"
    raise refusal(what, "it is not an event: it was not itself decorated with @event", mend, where)

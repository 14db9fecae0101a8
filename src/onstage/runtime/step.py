"""Steps and transactions: what wraps a user's function, and what it is allowed to be.

`step(fn)` keeps the function's parameters and gives a `Call`: an awaitable that takes its position in the execution
when it is made. `fn` stays reachable as `.fn` for plain unit tests.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import (
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    final,
    overload,
)

from onstage.contracts.inference import declared_duration, refuse_unknown_options
from onstage.core.journal import fingerprint
from onstage.core.retry import Retry
from onstage.errors import NotInExecution, UsageError, refusal
from onstage.events.codec import Codec, NoCodec, canonical, codec_for
from onstage.events.event import place_of
from onstage.events.ways import VERSION_MAX, Ways
from onstage.ports.store import Connection
from onstage.runtime.call import Call, calling_frame
from onstage.runtime.frame import Frame

__all__ = ["Durable", "Step", "TransactionStep", "step", "transaction"]

P = ParamSpec("P")
R = TypeVar("R")
Duration = str | timedelta | float


class StepOptions(TypedDict, total=False):
    """Options of `step`.

    `name` keeps the identity of a step across renames. `retries` is how often to try again after the first
    attempt, `retry` a whole policy. Exceptions in `give_up_on` are never retried and reach the handler as themselves;
    with `retry_on`, only those are retried; anything else reaches it as `StepFailed`. `timeout` bounds one attempt,
    `total_timeout` all of them. `undo(result, *arguments)` compensates the finished step. `version` is that of what is
    recorded, 1 unless it has changed (see `onstage.versions.upcast`). With `heartbeat_timeout` an attempt is over when
    it has not called `heartbeat` for so long. With `completion_timeout` it may raise `CompletedElsewhere`, and has so
    long to be completed from outside. `in_doubt` says what becomes of a step that was begun and not recorded when its
    process is undone: it is run to its end first ("finish"), or its undo is given None for a result ("undo"). A `pivot`
    is the point of no return: from then on the process is not undone any more.
    """

    name: str
    retries: int
    retry: Retry
    give_up_on: Sequence[type[Exception]]
    retry_on: Sequence[type[Exception]]
    timeout: Duration
    total_timeout: Duration
    undo: Callable[..., Any]
    version: int
    heartbeat_timeout: Duration
    completion_timeout: Duration
    in_doubt: Literal["finish", "undo"]
    pivot: bool


class Durable(Generic[R]):
    """What steps and transactions have in common: a checked function, its codecs and its retry policy."""

    kind = "step"
    is_unmarked = False  # whether it is an effect outside before which nothing is recorded
    __onstage_step__ = True  # how a handler's source is recognised to call one
    _bound_first = 0

    def __init__(self, fn: Callable[..., Any], options: StepOptions) -> None:
        """Check the function. Raises DefinitionError with file, line and mend."""
        self.fn = fn
        self.where: Final = place_of(fn)
        self.name: Final[str] = options.get("name") or str(getattr(fn, "__name__", "step"))
        refuse_unknown_options(f"{self.kind} {self.name}", options, StepOptions, self.where)
        self.version: Final = _checked_version(self, options.get("version", 1))
        self.ways: Final = Ways(f"the result of {self.kind} {self.name},", self.name)
        self.call_ways: Final = Ways(f"the arguments of {self.kind} {self.name},", self.name)
        self._refuse_methods()
        self._signature = inspect.signature(fn)
        self._count = len(self._signature.parameters) - self._bound_first
        self._keywords = _keyword_only(self)
        self.run = fn if not self._keywords else self._with_keywords
        self._codec: Codec[Any] | None = None
        self._schema: int | None = None
        self.policy: Final = _policy(options)
        self.give_up_on: Final = tuple(options.get("give_up_on", ()))
        self.__name__ = getattr(fn, "__name__", self.name)
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn
        self._resolve_result(at_definition=True)

    def _refuse_methods(self) -> None:
        qualname = getattr(self.fn, "__qualname__", "")
        parameters = list(inspect.signature(self.fn).parameters)
        in_class = "." in qualname.rpartition("<locals>.")[2]
        if inspect.ismethod(self.fn) or (in_class and parameters[:1] in (["self"], ["cls"])):
            why = "a replay has no object to call it on"
            mend = "make it a function; bind state through a resource: resource(Type) inside the function"
            raise refusal(f"{self.kind} {qualname} is a method", why, mend, self.where)

    def _resolve_result(self, *, at_definition: bool = False) -> Codec[Any]:
        if self._codec is not None:
            return self._codec
        try:
            hints = _return_annotation(self.fn)
        except NameError:
            if at_definition:
                return codec_for(type(None))  # a forward reference: asked again at the first call
            raise
        if "return" not in hints:
            mend = f"write def {self.name}(...) -> TheResult (or -> None)"
            what = f"{self.kind} {self.name} has no return annotation"
            raise refusal(what, "its result is stored, and the annotation says how", mend, self.where)
        try:
            self._codec = codec_for(hints["return"])
        except NoCodec as error:
            mend = "return a dataclass, a Struct, an attrs or pydantic class, or plain data"
            what = f"the result of {self.kind} {self.name} cannot be stored"
            raise refusal(what, str(error), mend, self.where) from error
        return self._codec

    def check(self) -> None:
        """Resolve what was not known yet at the definition. Raises DefinitionError."""
        try:
            self._resolve_result()
        except NameError as error:
            mend = f"import or define {error.name or 'it'} in the module of the {self.kind}"
            what = f"an annotation of {self.kind} {self.name} is unknown"
            raise refusal(what, str(error), mend, self.where) from error

    @property
    def result_codec(self) -> Codec[Any]:
        """How results are stored."""
        return self._resolve_result()

    def recorded_result(self, data: bytes, version: int) -> R:
        """A recorded result, lifted to the present version. Raises DecodeFailed if it is none any more."""
        result: R = self.result_codec.read(
            self.ways.lift(data, version, self.version) if version != self.version else data
        )
        return result

    @property
    def schema(self) -> int:
        """The fingerprint of the result's schema, stored beside each result."""
        if self._schema is None:
            self._schema = self.result_codec.fingerprint
        return self._schema

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call[R]:
        """Make a call: bind the arguments and take a position in the running execution."""
        arguments = args
        if kwargs or len(args) != self._count:
            padding = (None,) * self._bound_first
            bound = self._signature.bind(*padding, *args, **kwargs)
            bound.apply_defaults()
            arguments = (*bound.args, *bound.kwargs.values())[self._bound_first :]
        frame = calling_frame(self.name)
        if frame is None:
            return Call(self.name, partial(self.plain, arguments))
        position = frame.execution.make(self.name)
        unmarked = position if self.is_unmarked else None
        return Call(self.name, partial(self.perform, frame, position, arguments), frame, unmarked=unmarked)

    def _with_keywords(self, *arguments: Any) -> Any:
        return self.fn(*arguments[: -len(self._keywords)], **self.keywords_of(arguments))

    def keywords_of(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        """Those of the arguments, all in order, that only go by their names."""
        names = self._keywords
        return dict(zip(names, arguments[len(arguments) - len(names) :], strict=True))

    def hash_of(self, arguments: tuple[Any, ...]) -> int:
        """The hash of the canonically encoded arguments. Raises UsageError for one that cannot be encoded."""
        try:
            return fingerprint(canonical(arguments))
        except NoCodec as error:
            raise UsageError(
                f"an argument of {self.kind} {self.name} cannot be stored ({self.where})\n  why: {error}\n"
                "  to do: pass plain data; bind clients and connections through resource(Type)"
            ) from error

    async def plain(self, arguments: tuple[Any, ...]) -> R:
        """Run outside an execution."""
        raise NotImplementedError

    def perform(self, frame: Frame, position: str, arguments: tuple[Any, ...]) -> Coroutine[Any, Any, R]:
        """Run inside an execution, or answer what is recorded."""
        raise NotImplementedError


@final
class Step(Durable[R], Generic[P, R]):
    """A function with an effect outside: runs at least once, never again after its result is recorded."""

    def __init__(self, fn: Callable[..., Any], options: StepOptions) -> None:
        """Check the function and its undo."""
        super().__init__(fn, options)
        self.is_async: Final = inspect.iscoroutinefunction(fn)
        self.timeout_s: Final = _seconds(self, options, "timeout")
        self.total_timeout_s: Final = _seconds(self, options, "total_timeout")
        self.heartbeat_timeout_s: Final = _seconds(self, options, "heartbeat_timeout")
        self.completion_timeout_s: Final = _seconds(self, options, "completion_timeout")
        self.is_long: Final = bool(self.heartbeat_timeout_s or self.completion_timeout_s)
        self.undo: Final = options.get("undo")
        self.in_doubt: Final = options.get("in_doubt", "finish")
        self.is_pivot: Final = options.get("pivot", False)
        if self.is_pivot and self.undo is not None:
            why = "after the point of no return nothing of the process is undone"
            raise refusal(f"step {self.name} is a pivot and has an undo", why, "leave one of the two out", self.where)
        self.undo_name: Final = None if self.undo is None else f"{fn.__module__}:{fn.__qualname__}"
        """The name under which the undo is journaled: module and qualified name of the step."""
        self.is_unmarked = self.undo is None and not self.is_long
        self._call_codec: Codec[Any] | None = None
        if self.undo is not None:
            with suppress(NameError):  # a forward reference: asked again at App(...)
                _ = self.call_codec

    @property
    def call_codec(self) -> Codec[Any]:
        """How the arguments are stored for the undo: the parameters' annotations, in order."""
        if self._call_codec is None:
            hints = inspect.get_annotations(self.fn, eval_str=True)
            types = tuple(hints.get(name, Any) for name in self._signature.parameters)
            try:
                self._call_codec = codec_for(tuple[types] if types else tuple[()])  # type: ignore[valid-type]
            except NoCodec as error:
                mend = "give its parameters types that JSON can carry; bind state through resource(Type)"
                what = f"the arguments of step {self.name} cannot be kept for its undo"
                raise refusal(what, str(error), mend, self.where) from error
        return self._call_codec

    def recorded_arguments(self, data: bytes, version: int) -> tuple[Any, ...]:
        """Arguments recorded for the undo, likewise."""
        lifted = self.call_ways.lift(data, version, self.version) if version != self.version else data
        arguments: tuple[Any, ...] = self.call_codec.read(lifted)
        return arguments

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Make a durable call. Outside an execution it simply runs when awaited."""
        return self.call(args, kwargs)

    async def plain(self, arguments: tuple[Any, ...]) -> R:
        """Run the function as it is."""
        result = self.run(*arguments)
        answer: R = await result if inspect.isawaitable(result) else result
        return answer

    def perform(self, frame: Frame, position: str, arguments: tuple[Any, ...]) -> Coroutine[Any, Any, R]:
        """Ask the journal, or run the attempts."""
        return frame.driver.perform_step(self, frame, position, arguments)


@final
class TransactionStep(Durable[R], Generic[P, R]):
    """A function on the service's own tables, committed together with the journal: exactly once."""

    kind = "transaction"
    _bound_first = 1

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Make a durable call; it needs an execution."""
        return self.call(args, kwargs)

    async def plain(self, arguments: tuple[Any, ...]) -> R:
        """Refuse: outside an execution there is no commit to be part of."""
        raise NotInExecution(
            f"transaction {self.name} was called outside a handler\n"
            "  why: it is part of an execution's commit, and there is none\n"
            f"  to do: call it in a handler; in a unit test call {self.name}.fn(connection, ...)"
        )

    def perform(self, frame: Frame, position: str, arguments: tuple[Any, ...]) -> Coroutine[Any, Any, R]:
        """Ask the journal, or run it inside a commit."""
        return frame.driver.perform_transaction(self, frame, position, arguments)


def _return_annotation(fn: Callable[..., Any]) -> dict[str, Any]:
    """The return annotation alone: a parameter's may be of a name that only type checkers know."""
    written = getattr(fn, "__annotations__", {})
    if not isinstance(written.get("return"), str):
        return {name: written[name] for name in ("return",) if name in written}

    def bearer() -> None: ...

    bearer.__annotations__ = {"return": written["return"]}
    return inspect.get_annotations(bearer, globals=getattr(fn, "__globals__", {}), eval_str=True)


def _keyword_only(durable: Durable[Any]) -> tuple[str, ...]:
    parameters = inspect.signature(durable.fn).parameters.values()
    loose = [part.name for part in parameters if part.kind is inspect.Parameter.VAR_KEYWORD]
    if loose:
        what, why = f"{durable.kind} {durable.name} takes **{loose[0]}", "each argument has a place in the journal"
        raise refusal(what, why, "name the parameters, or take a dict", durable.where)
    return tuple(part.name for part in parameters if part.kind is inspect.Parameter.KEYWORD_ONLY)


def _checked_version(durable: Durable[Any], value: object) -> int:
    if type(value) is int and 1 <= value <= VERSION_MAX:
        return value
    what, why = f"{durable.kind} {durable.name} has version={value!r}", f"it is a whole number from 1 to {VERSION_MAX}"
    raise refusal(what, why, "write version=2, say", durable.where)


_Limit = Literal["timeout", "total_timeout", "heartbeat_timeout", "completion_timeout"]


def _seconds(step: Step[..., Any], options: StepOptions, name: _Limit) -> float | None:
    value = options.get(name)
    return None if value is None else declared_duration(f"step {step.name}", name, value, step.where)


def _policy(options: StepOptions) -> Retry:
    given = options.get("retry")
    if given is not None and "retries" in options:
        raise ValueError("give retries= or retry=, not both")
    give_up_on = tuple(options.get("give_up_on", ()))
    on = tuple(options.get("retry_on", (Exception,)))
    if given is None:
        return Retry(options.get("retries", 0) + 1, on=on, give_up_on=give_up_on)
    return given.also(on=options.get("retry_on"), give_up_on=give_up_on)


class _StepDecorator:
    def __init__(self, options: StepOptions) -> None:
        self._options = options

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Step[..., Any]:
        return Step(fn, self._options)


@overload
def step(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(**options: Unpack[StepOptions]) -> _StepDecorator: ...
def step(fn: Callable[..., Any] | None = None, /, **options: Unpack[StepOptions]) -> Any:
    """Make a function a durable step: `@step`, `@step(retries=5)` or `step(retries=5)(charge_card)`.

    Inside a handler its result is recorded, so it runs at least once and never again after that, with an
    `idempotency_key()` that never changes. Synchronous functions run in a thread; attempts never overlap. The result
    type is the return annotation. See `StepOptions`.

    Raises DefinitionError for a method, or a result that cannot be stored.
    """
    if fn is not None:
        return Step(fn, options)
    return _StepDecorator(options)


class _TransactionDecorator:
    def __init__(self, options: StepOptions) -> None:
        self._options = options

    def __call__(self, fn: Callable[Concatenate[Connection, P], R], /) -> TransactionStep[P, R]:
        return TransactionStep(fn, self._options)


@overload
def transaction(fn: Callable[Concatenate[Connection, P], R], /) -> TransactionStep[P, R]: ...
@overload
def transaction(
    *, name: str = ..., give_up_on: Sequence[type[Exception]] = ..., version: int = ...
) -> _TransactionDecorator: ...
def transaction(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make `fn(connection, ...)` a transaction on the service's own tables, in the same commit as the journal.

    It runs synchronously in the writer, within one second, and may not commit, roll back, attach or touch the engine's
    tables. It may run again if the batch fails, so it does nothing else. Exceptions in `give_up_on` reach the handler
    as themselves, others as `StepFailed`; either way nothing of it is stored.
    """
    if fn is not None:
        return TransactionStep(fn, StepOptions())
    return _TransactionDecorator(cast("StepOptions", options))

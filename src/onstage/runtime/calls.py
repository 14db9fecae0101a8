"""The durable calls a handler makes besides steps: wait, sleep, emit, now, random, uuid; and what a step may ask.

They are ambient: found through the running execution, not through a context argument. `now`, `random` and `uuid` are
meant to be used as `onstage.now()` and so on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload
from uuid import UUID

import msgspec

from onstage.core.journal import Emitted, Valued, WaitEnded, WaitHopeless, fingerprint
from onstage.core.requests import (
    DivergedAnswer,
    EmitRequest,
    Perform,
    Recorded,
    SleepRequest,
    ValueRequest,
    WaitRequest,
)
from onstage.errors import NotInExecution, OperationError, UndeclaredEvent, UsageError, WillNeverHappen
from onstage.events.delayed import when_of
from onstage.events.duration import seconds
from onstage.events.event import event_type
from onstage.events.receipt import Status
from onstage.ports.clock import SystemClock
from onstage.runtime.attempts import ask
from onstage.runtime.call import Call, active, required_frame
from onstage.runtime.emission import Emission
from onstage.runtime.error_text import said
from onstage.runtime.frame import CURRENT, INSIDE_STEP, Frame, Park
from onstage.runtime.hopeless_waits import is_hopeless
from onstage.runtime.output import put
from onstage.runtime.wire import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Never

    from onstage.core.journal import Entry
    from onstage.events.delayed import When

__all__ = ["emit", "idempotency_key", "now", "random", "resource", "sleep", "uuid", "wait"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
T = TypeVar("T")
Duration = str | timedelta | float
_CLOCK: Final = SystemClock()
_IN_A_HANDLER: Final = "call it in a handler"


@overload
def wait(a: type[A], /, *, timeout: Duration | None = ..., after: Literal["trigger"] | None = ...) -> Call[A]: ...
@overload
def wait(
    a: type[A], b: type[B], /, *, timeout: Duration | None = ..., after: Literal["trigger"] | None = ...
) -> Call[A | B]: ...
@overload
def wait(
    a: type[A], b: type[B], c: type[C], /, *, timeout: Duration | None = ..., after: Literal["trigger"] | None = ...
) -> Call[A | B | C]: ...
@overload
def wait(
    a: type[A],
    b: type[B],
    c: type[C],
    d: type[D],
    /,
    *,
    timeout: Duration | None = ...,
    after: Literal["trigger"] | None = ...,
) -> Call[A | B | C | D]: ...
@overload
def wait(
    a: type[A],
    b: type[B],
    c: type[C],
    d: type[D],
    e: type[E],
    /,
    *,
    timeout: Duration | None = ...,
    after: Literal["trigger"] | None = ...,
) -> Call[A | B | C | D | E]: ...
@overload
def wait(
    a: type[A],
    b: type[B],
    c: type[C],
    d: type[D],
    e: type[E],
    f: type[F],
    /,
    *,
    timeout: Duration | None = ...,
    after: Literal["trigger"] | None = ...,
) -> Call[A | B | C | D | E | F]: ...
def wait(
    *types: type[Any], timeout: Duration | None = None, after: Literal["trigger"] | None = None, **unknown: Never
) -> Call[Any]:
    """Wait durably for the next event of one of these types in the same process.

    Events are taken in the order of the process' inbox, each at most once per execution: one that came earlier is
    there. `after="trigger"` ignores those that came before the event that started this execution. While it waits, the
    execution is rows in the store and nothing else.

    Raises TimeoutError when `timeout` is over, or at once the WillNeverHappen among them when nothing that is open in
    the process can lead to such an event any more; UndeclaredEvent for a type that could not be found in the handler's
    source (add it with `waits=[...]`), UsageError for `key=`, which is still to come.
    """
    if unknown:
        _refuse_unbuilt("wait", unknown)
    if after not in (None, "trigger"):
        raise UsageError(
            f'wait has after={after!r}\n  why: there is no such choice\n  to do: write after="trigger", or leave it out'
        )
    frame = required_frame("wait", _IN_A_HANDLER)
    missing = [cls for cls in types if cls not in frame.reaction.waits]
    if missing:
        raise UndeclaredEvent(
            f"{frame.reaction.name} waits for {event_type(missing[0]).name}, which it does not declare\n"
            "  why: events are kept for handlers that are known to wait for their type\n"
            f"  to do: write waits=[{missing[0].__name__}] where the handler is declared "
            f"({frame.reaction.handler.where})"
        )
    names = tuple(sorted(event_type(cls).name for cls in types))
    timeout_ms = None if timeout is None else round(seconds(timeout) * 1000)
    position = frame.execution.make("wait")
    since = frame.delivery.n if after == "trigger" else 0
    return Call("wait", partial(_wait, frame, position, WaitRequest(names, timeout_ms), since), frame)


wait.__onstage_wait__ = True  # type: ignore[attr-defined]  # how a handler's source is recognised to wait


async def _wait(frame: Frame, position: str, request: WaitRequest, since: int) -> Any:
    with active(frame):
        while True:
            answer, seen = await ask(frame, position, request), frame.nudges
            if isinstance(answer, Recorded):
                return _ended(frame, answer.entry, request.types)
            assert not isinstance(answer, Perform), "a wait is recorded or looked for"
            ended = await _look(frame, position, request, since, answer.due)
            if ended is not None:
                frame.driver.tell(frame, ended)
                return _ended(frame, ended, request.types)
            await frame.pause(Park(answer.due, waits=request.types), seen)


async def _look(
    frame: Frame, position: str, request: WaitRequest, since: int, due: int | None
) -> WaitEnded | WaitHopeless | None:
    """What a wait has come to by now, None if it goes on."""
    node = frame.driver.node
    # Listen first, then look: an event that comes in between is seen by one of the two.
    node.mailbox.listen(frame.delivery, request.types)
    found = await node.mailbox.find(frame, request.types, since)
    frame.leave_if_stopped()
    if found is not None:
        return WaitEnded(position, found.n, found.type, found.data, version_of(found))
    if due is not None and node.clock.now_ms() >= due:
        return WaitEnded(position, 0, "", b"")
    return WaitHopeless(position) if is_hopeless(frame, request.types) else None


def _ended(frame: Frame, entry: Entry, types: tuple[str, ...]) -> Any:
    if isinstance(entry, WaitHopeless):
        raise WillNeverHappen(types)
    assert isinstance(entry, WaitEnded), "`ask` lets nothing else through"
    return _arrived(frame, entry)


def _arrived(frame: Frame, entry: WaitEnded) -> Any:
    if not entry.event:
        raise TimeoutError("no such event came in time")
    try:
        return frame.driver.node.types[entry.type].read(entry.data, entry.version)
    except Exception as error:
        raise OperationError(
            f"the event {entry.type} that {frame.reaction.name} took cannot be decoded\n  why: {said(error)}\n"
            "  to do: add the @upcast that leads there, or mend the class; then `onstage dead retry`"
        ) from error


def sleep(duration: Duration) -> Call[None]:
    """Sleep durably: "90s", "24h", "3d", a timedelta or seconds. It is over on time even if the node was down."""
    frame = required_frame("sleep", _IN_A_HANDLER)
    duration_ms = round(seconds(duration) * 1000)
    return Call("sleep", partial(_sleep, frame, frame.execution.make("sleep"), duration_ms), frame)


sleep.__onstage_timer__ = True  # type: ignore[attr-defined]  # how a handler's source is recognised to take time


async def _sleep(frame: Frame, position: str, duration_ms: int) -> None:
    with active(frame):
        await ask(frame, position, SleepRequest(duration_ms))
        frame.driver.save(frame)


def emit(
    event: object,
    *,
    after: Duration | None = None,
    at: datetime | None = None,
    expires: Duration | datetime | None = None,
) -> Call[None]:
    """Emit an event in the middle of the handler; it belongs to the handler's process.

    With `after` ("10m") or `at` it is kept durably and emitted then, never earlier; the process stays open until that.
    From `expires` on, a moment or a time counted from when it is due, no handler begins with it any more.

    Raises UndeclaredEvent for a type that the handler's return annotation (or `emits=`) does not name, UsageError for
    `after` and `at` together or a moment without a time zone, ValueError for what is no duration.
    """
    frame = required_frame("emit", "call it in a handler; outside, use stage.emit(...)")
    name, when = event_type(type(event)).name, when_of(after=after, at=at, expires=expires)
    return Call("emit", partial(_emit, frame, frame.execution.make(f"emit {name}"), event, when), frame)


emit.__onstage_emit__ = True  # type: ignore[attr-defined]


_UNBUILT: Final = {
    ("wait", "key"): (
        "a wait takes events of its own process only, for now",
        "leave key= out, and have the event emitted into this process: stage.emit(..., process=...)",
    ),
}


def _refuse_unbuilt(function: str, unknown: Mapping[str, object]) -> None:
    for name in unknown:
        if (function, name) not in _UNBUILT:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
        why, mend = _UNBUILT[function, name]
        raise UsageError(f"{function} has no {name}= yet\n  why: {why}\n  to do: {mend}")


async def _emit(frame: Frame, position: str, event: object, when: When | None) -> None:
    with active(frame):
        known = event_type(type(event))
        hashed = fingerprint(known.name.encode() + known.encode(event))
        answer = await ask(frame, position, EmitRequest(hashed))
        if isinstance(answer, Recorded):
            return
        await frame.decided()
        frame.leave_if_stopped()
        emission = Emission(frame.driver.node.numbers)
        n = put(frame, emission, event, frame.driver.node.clock.now_ms(), when)
        frame.execution.tell(Emitted(position, hashed, n))
        frame.driver.commit(frame, Status.RUNNING, emission)
        frame.driver.node.dispatcher.wake()
        frame.driver.node.dispatcher.flush_soon()


def _value(name: str, draw: Callable[[], Any], type_: type[T]) -> T:
    if INSIDE_STEP.get() is not None or CURRENT.get() is None:
        value: T = draw()
        return value
    frame = required_frame(name, _IN_A_HANDLER)
    position = frame.execution.make(name)
    if frame.execution.at(position) is None:
        frame.leave_if_stopped()
    answer = frame.execution.ask(position, ValueRequest(), frame.driver.node.clock.now_ms())
    if isinstance(answer, DivergedAnswer):
        frame.diverge(answer.diff)
    if isinstance(answer, Recorded):
        assert isinstance(answer.entry, Valued), "`ask` lets nothing else through"
        return msgspec.json.decode(answer.entry.value, type=type_)
    value = draw()
    frame.driver.tell(frame, Valued(position, msgspec.json.encode(value)))
    return value


def _clock() -> Any:
    frame = CURRENT.get()
    return _CLOCK if frame is None else frame.driver.node.clock


def now() -> datetime:
    """The time (UTC), the same on every replay. Outside an execution, and inside a step, it is the clock's."""
    return _value("now", lambda: datetime.fromtimestamp(_clock().now_ms() / 1000, UTC), datetime)


def random() -> float:
    """A random number in [0, 1), the same on every replay."""
    return _value("random", lambda: _clock().chance(), float)


def uuid() -> UUID:
    """A random UUID (version 4, RFC 9562), the same on every replay."""
    return _value("uuid", lambda: UUID(bytes=_clock().token(16), version=4), UUID)


def _inside_step(name: str) -> tuple[Frame, str]:
    inside = INSIDE_STEP.get()
    if inside is None:
        raise NotInExecution(
            f"{name}(...) was called outside a running step\n  why: it belongs to one effect of one execution\n"
            "  to do: call it in the body of a @step function that a handler runs"
        )
    return inside


def idempotency_key() -> str:
    """The key of the running step: the same in every attempt, across crashes, restarts and retries by hand.

    Give it to the service you call, so that it can recognise a repetition. Raises NotInExecution outside a step.
    """
    frame, position = _inside_step("idempotency_key")
    delivery, holders = frame.delivery, frame.execution.key_holders
    if holders and (origin := holders.get(position.removeprefix("undo/"))) is not None:
        return f"{origin}/{position}"
    event = delivery.names[1] if delivery.names else frame.driver.node.numbers.identity.wire(delivery.n)
    return f"{event}/{frame.reaction.name}/{position}"


def resource(type_: type[T]) -> T:
    """What the service's `lifespan` yielded of this type. Raises NotInExecution outside a step, LookupError if none."""
    frame, _ = _inside_step("resource")
    return frame.driver.node.resources.of(frame.reaction.service, type_)

"""Asking, and starting workflows, from inside an execution: emit a request, then take the answer that is about it.

The request is emitted in the commit that records it, so there is exactly one; the answer is looked for by its request,
so it is taken even if it came before anybody waited, and n of them cost n looks.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from onstage.core.commit import execution_id
from onstage.core.journal import Answered, Asked, fingerprint
from onstage.core.requests import AskRequest, Perform, Recorded
from onstage.errors import AskFailed, NotInExecution, UndeclaredEvent, UsageError
from onstage.events.answer import Answer, Request, answer_type, is_request, response_codec
from onstage.events.duration import seconds
from onstage.events.event import event_type, is_event
from onstage.events.receipt import Status
from onstage.runtime import attempts
from onstage.runtime.call import Call, active, calling_frame
from onstage.runtime.emission import Emission
from onstage.runtime.frame import Park
from onstage.runtime.output import add

if TYPE_CHECKING:
    from datetime import timedelta

    from onstage.contracts.handler import Handler
    from onstage.events.codec import Codec
    from onstage.events.event import EventType
    from onstage.runtime.frame import Frame

__all__ = ["ask", "response_in", "start", "workflow_of"]

T = TypeVar("T")
R = TypeVar("R")
_DECODE = msgspec.json.Decoder(Answer).decode


class _Question(NamedTuple):
    """What is asked: its type, its payload, its key, and how the result is read."""

    type: EventType
    data: bytes
    key: str | None
    result: Codec[Any]
    timeout_ms: int | None


def ask(request: Request[R], *, timeout: str | timedelta | float | None = None) -> Call[R]:
    """Ask durably, and wait for the answer: the result of whoever declares `@service.answers` for this request.

    There is one request, whatever crashes, and its answer is taken even if it comes at once. It carries the time that
    is left: without `timeout` the deadline of the request that this execution answers itself holds, if there is one.

    Raises TimeoutError when the time is over, AskFailed if the answer is a no (`Reject`) or was cancelled or dropped
    by an operator. A dead letter of the answerer is no answer: the execution goes on waiting. Raises UndeclaredEvent
    for a request that could not be found in the handler's source: add it with `asks=[...]`.
    """
    frame = _frame_for("ask")
    if not (is_request(type(request)) and is_event(type(request))):
        raise UsageError(
            f"ask was given {request!r}\n  why: it is no request, so nobody knows what answers it\n"
            "  to do: base its event class on Request[TheAnswer]"
        )
    known = event_type(type(request))
    _refuse_undeclared(frame, known.name, f"asks=[{type(request).__name__}]")
    codec = response_codec(type(request))
    question = _Question(known, known.encode(request), known.key_of(request), codec, _ms(timeout))
    return Call("ask", partial(_ask, frame, frame.execution.make(f"ask {known.name}"), question), frame)


def start(
    workflow: Handler[T, R], input: T, /, *, id: str | None = None, timeout: str | timedelta | float | None = None
) -> Call[R]:
    """Start a workflow as a child of this execution, and wait durably for its result.

    The child belongs to the same process, and is cancelled with its parent. There is one start for each call, whatever
    crashes; `id` is the key under which the child is shown.

    Raises as `ask` does; AskFailed also if the child was cancelled.
    """
    frame = _frame_for("start")
    known, codec = workflow_of(workflow)
    _refuse_undeclared(frame, known.name, f"asks=[{workflow.name}]")
    question = _Question(known, known.encode(input), id, codec, _ms(timeout))
    return Call("start", partial(_ask, frame, frame.execution.make(f"start {workflow.full_name}"), question), frame)


ask.__onstage_asks__ = True  # type: ignore[attr-defined]  # how a handler's source is recognised to ask
start.__onstage_asks__ = True  # type: ignore[attr-defined]


def workflow_of(workflow: object) -> tuple[EventType, Codec[Any]]:
    """The event that starts a workflow, and the codec of its result. Raises UsageError for what is none."""
    responding = getattr(workflow, "responding", None)
    if responding is None or not responding.is_workflow:
        raise UsageError(
            f"{workflow!r} cannot be started\n  why: it is no workflow\n  to do: declare it with @service.workflow"
        )
    return workflow.triggers[0], responding.result  # type: ignore[attr-defined]  # a Handler, which has them


def response_in(request: str, data: bytes, codec: Codec[Any]) -> Any:
    """The result in the payload of an answer. Raises AskFailed if it holds a failure."""
    answer = _DECODE(data)
    if answer.failure is not None:
        raise AskFailed(request, *answer.failure)
    return codec.read(bytes(answer.value))


def _frame_for(name: str) -> Frame:
    frame = calling_frame(name)
    if frame is None:
        raise NotInExecution(
            f"{name}(...) was called outside a handler\n  why: there is no execution whose journal could record it\n"
            f"  to do: outside, use stage.{name}(...) or client.{name}(...)"
        )
    return frame


def _ms(timeout: str | timedelta | float | None) -> int | None:
    return None if timeout is None else round(seconds(timeout) * 1000)


def _refuse_undeclared(frame: Frame, request: str, mend: str) -> None:
    if request in frame.reaction.handler.asks:
        return
    raise UndeclaredEvent(
        f"{frame.reaction.name} asks {request}, which it does not declare\n"
        "  why: answers are kept for handlers that are known to ask\n"
        f"  to do: write {mend} where the handler is declared ({frame.reaction.handler.where})"
    )


async def _ask(frame: Frame, position: str, question: _Question) -> Any:
    with active(frame):
        node, name = frame.driver.node, question.type.name
        hashed = fingerprint(name.encode() + question.data)
        found = await attempts.ask(frame, position, AskRequest(hashed))
        if isinstance(found, Recorded):
            assert isinstance(found.entry, Answered), "`ask` lets nothing else through"
            return _taken(name, question, found.entry)
        if isinstance(found, Perform):
            await frame.decided()
            frame.leave_if_stopped()
            _emit(frame, position, hashed, question)
        asked = frame.execution.at(position)
        assert isinstance(asked, Asked), "it was asked before, or just now"
        # Listen first, then look: an answer that comes in between is seen by one of the two.
        answers = answer_type(name).name
        node.mailbox.listen_for_answer(frame.delivery, asked.event, answers)
        event = await node.mailbox.answer(asked.event)
        frame.leave_if_stopped()
        is_late = asked.due is not None and node.clock.now_ms() >= asked.due
        if event is None and not is_late:
            await frame.park(Park(asked.due, waits=(answers,)))
        n, data = (0, b"") if event is None else (event.n, event.data)
        ended = Answered(position, hashed, n, data)
        frame.driver.tell(frame, ended)
        return _taken(name, question, ended)


def _taken(name: str, question: _Question, entry: Answered) -> Any:
    if not entry.event:
        raise TimeoutError(f"{name} was not answered in time")
    return response_in(name, entry.data, question.result)


def _emit(frame: Frame, position: str, hashed: int, question: _Question) -> None:
    node = frame.driver.node
    if len(question.data) > node.event_bytes_max:
        raise ValueError(f"a request of {len(question.data)} bytes is larger than {node.event_bytes_max}")
    now = node.clock.now_ms()
    limits = [frame.delivery.deadline, None if question.timeout_ms is None else now + question.timeout_ms]
    due = min((limit for limit in limits if limit is not None), default=None)
    emission, route = Emission(node.numbers), node.routes[question.type.name]
    n = add(frame, emission, route, question.data, question.key, now_ms=now, expires=due)
    child = next((execution_id(n, each.number) for each in route.triggers if _is_workflow(each)), 0)
    frame.execution.tell(Asked(position, hashed, n, due, child))
    frame.driver.commit(frame, Status.RUNNING, emission)
    node.dispatcher.wake()
    node.dispatcher.flush_soon()


def _is_workflow(reaction: Any) -> bool:
    return reaction.responding is not None and reaction.responding.is_workflow

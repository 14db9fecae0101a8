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
from onstage.errors import AskFailed, DuplicateId, UndeclaredEvent, UsageError
from onstage.events.answer import (
    DUPLICATE,
    START_PREFIX,
    Answer,
    Request,
    answer_type,
    asked_name,
    is_request,
    response_codec,
    why_no_request,
)
from onstage.events.duration import seconds
from onstage.events.event import event_type, is_event
from onstage.events.receipt import Status
from onstage.runtime import attempts
from onstage.runtime.answering import refuse_unanswered, unanswered_said
from onstage.runtime.call import Call, active, required_frame
from onstage.runtime.emission import Emission
from onstage.runtime.frame import Park
from onstage.runtime.hopeless_waits import is_hopeless, unanswered
from onstage.runtime.output import add
from onstage.runtime.shared_starts import door_of, join, took_answer

if TYPE_CHECKING:
    from datetime import timedelta

    from onstage.contracts.handler import Handler
    from onstage.core.commit import Door
    from onstage.events.codec import Codec
    from onstage.events.event import EventType
    from onstage.ports.store import EventView
    from onstage.runtime.emission import Route
    from onstage.runtime.frame import Frame

__all__ = ["ask", "response_in", "start", "workflow_of"]

T = TypeVar("T")
R = TypeVar("R")
_DECODE = msgspec.json.Decoder(Answer).decode


class _Question(NamedTuple):
    """What is asked: its type, its payload, its key, how the result is read, and the id that a start was given."""

    type: EventType
    data: bytes
    key: str | None
    result: Codec[Any]
    timeout_ms: int | None
    id: str | None = None


def ask(request: Request[R], *, timeout: str | timedelta | float | None = None) -> Call[R]:
    """Ask durably, and wait for the answer: the result of whoever declares `@service.answers` for this request.

    There is one request, whatever crashes, and its answer is taken even if it comes at once. It carries the time that
    is left: without `timeout` the deadline of the request that this execution answers itself holds, if there is one.

    Raises TimeoutError when the time is over, AskFailed if the answer is a no (`Reject`) or was cancelled or dropped
    by an operator. A dead letter of the answerer is no answer: the execution goes on waiting. Raises UndeclaredEvent
    for a request that could not be found in the handler's source: add it with `asks=[...]`.
    """
    frame = required_frame("ask", "outside, use stage.ask(...) or client.ask(...)")
    if not (is_request(type(request)) and is_event(type(request))):
        raise UsageError(f"ask was given {request!r}\n{why_no_request(type(request))}")
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
    crashes. With an `id`, under which the child is shown, there is one run of this workflow for ever, whoever starts it
    first, here or from outside: others get its result, and a cancel of theirs leaves it alone.

    Raises as `ask` does; AskFailed also if the child was cancelled; DuplicateId for an id that was used with another
    input.
    """
    frame = required_frame("start", "outside, use stage.start(...) or client.start(...)")
    known, codec = workflow_of(workflow)
    _refuse_undeclared(frame, known.name, f"asks=[{workflow.name}]")
    question = _Question(known, known.encode(input), id, codec, _ms(timeout), id)
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
    if answer.failure is not None and answer.failure[0] == DUPLICATE:
        raise DuplicateId(answer.failure[1])
    if answer.failure is not None:
        raise AskFailed(asked_name(request), *answer.failure)
    return codec.read(bytes(answer.value))


def _ms(timeout: str | timedelta | float | None) -> int | None:
    return None if timeout is None else round(seconds(timeout) * 1000)


def _refuse_undeclared(frame: Frame, request: str, mend: str) -> None:
    if request in frame.reaction.handler.asks:
        return
    raise UndeclaredEvent(
        f"{frame.reaction.name} asks {asked_name(request)}, which it does not declare\n"
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
            await refuse_unanswered(node, name, frame.reaction.name)
            await frame.decided()
            frame.leave_if_stopped()
            door = None if question.id is None else door_of(question.type, question.id, question.data)
            asking = Asked(position, hashed, 0, _due(frame, question))
            if door is None or not await join(frame, door, str(question.id), asking):
                _emit(frame, asking, question, door)
        asked = frame.execution.at(position)
        if isinstance(asked, Answered):
            return _taken(name, question, asked)
        assert isinstance(asked, Asked), "it was asked before, or just now"
        answers = answer_type(name).name
        while True:
            seen, event = frame.nudges, await _answer(frame, asked, answers)
            is_late = asked.due is not None and node.clock.now_ms() >= asked.due
            is_in_vain = event is None and is_hopeless(frame, (unanswered(answers, asked.event),))
            if event is not None or is_late or is_in_vain:
                break
            await frame.pause(Park(asked.due, waits=(answers,), about=asked.event), seen)
            await attempts.ask(frame, position, AskRequest(hashed))  # a request to cancel is told here
        n, data = (0, b"") if event is None else (event.n, event.data)
        if is_in_vain and not is_late:
            n, data = asked.event, unanswered_said(node.numbers.identity.wire(asked.event))
        ended = Answered(position, hashed, n, data)
        frame.driver.tell(frame, ended)
        if asked.joined:
            took_answer(frame)
        return _taken(name, question, ended)


async def _answer(frame: Frame, asked: Asked, answers: str) -> EventView | None:
    """The answer, if it is there; from now on it wakes the execution."""
    mailbox = frame.driver.node.mailbox
    # Listen first, then look: an answer that comes in between is seen by one of the two.
    mailbox.listen_for_answer(frame.delivery, asked.event, answers, joined=asked.joined)
    event = await mailbox.answer(asked.event)
    frame.leave_if_stopped()
    return event


def _taken(name: str, question: _Question, entry: Answered) -> Any:
    if not entry.event:
        raise TimeoutError(f"{asked_name(name)} was not answered in time")
    return response_in(name, entry.data, question.result)


def _due(frame: Frame, question: _Question) -> int | None:
    limits = [frame.delivery.deadline]
    if question.timeout_ms is not None:
        limits.append(frame.driver.node.clock.now_ms() + question.timeout_ms)
    return min((limit for limit in limits if limit is not None), default=None)


def _emit(frame: Frame, asked: Asked, question: _Question, door: Door | None) -> None:
    node = frame.driver.node
    if len(question.data) > node.event_bytes_max:
        raise ValueError(f"a request of {len(question.data)} bytes is larger than {node.event_bytes_max}")
    now, due = node.clock.now_ms(), asked.due
    emission, route = Emission(node.numbers), node.routes[question.type.name]
    n = add(frame, emission, route, question.data, question.key, now_ms=now, expires=due)
    frame.execution.tell(Asked(asked.position, asked.arguments, n, due, _child(route, n)))
    if door is not None:
        door.n = n
    position = frame.driver.commit(frame, Status.RUNNING, emission, door=door)
    if door is not None:
        node.admission.took(door, position)
    node.dispatcher.wake()
    node.dispatcher.flush_soon()


def _child(route: Route, n: int) -> int:
    """The execution that a start begins: with handler number 0 one on another store. 0 for any other request."""
    if not route.type.name.startswith(START_PREFIX):
        return 0
    return next((execution_id(n, each.number) for each in route.triggers if _is_workflow(each)), execution_id(n, 0))


def _is_workflow(reaction: Any) -> bool:
    return reaction.responding is not None and reaction.responding.is_workflow

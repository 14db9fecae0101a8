"""Runs steps and transactions: asks the journal, waits for durability, performs, records."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from onstage.core.commit import RefusedBecause, Transaction
from onstage.core.journal import Abandoned, Attempted, Begun, Failed, HandedOver, Held, Stepped, Transacted, is_final
from onstage.core.requests import (
    PERFORM_FIRST,
    Answer,
    CancelAnswer,
    DivergedAnswer,
    Look,
    ParkAnswer,
    Perform,
    Recorded,
    Request,
    StepRequest,
    TransactionRequest,
)
from onstage.core.retry import delay
from onstage.core.segments import NEVER_BEGAN
from onstage.errors import Cancelled, CompletedElsewhere, Reject, StepFailed, UsageError
from onstage.events.codec import DecodeFailed, NoCodec, encode_any
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.call import active
from onstage.runtime.cancelling import is_due, observe
from onstage.runtime.error_text import error_text
from onstage.runtime.frame import INSIDE_STEP, Frame, Park
from onstage.runtime.long_step import ATTEMPT, attempt_of, beating, forget_heartbeat, hand_over_until
from onstage.runtime.undo import undo_abandoned

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.runtime.branch import Branch
    from onstage.runtime.step import Durable, Step, TransactionStep

__all__ = ["ask", "perform_step", "perform_transaction", "run_function"]


class _LooksAgain(Exception):
    """The call was blocked while others of its execution ran, and goes on."""


_SAID = (Recorded, CancelAnswer, DivergedAnswer)


async def ask(frame: Frame, position: str, request: Request) -> Recorded | Perform | Look:
    """Ask the journal; parks or diverges here, so that the caller sees only what it can act on."""
    while True:
        branch, waves = frame.here(), frame.driver.node.waves
        answer = _answer(frame, branch, position, request)
        if waves.stopped and waves.stops(frame.delivery) and not isinstance(answer, Recorded):
            await frame.park(waves.parking())
        if frame.delivery.cancelled and not isinstance(answer, _SAID) and is_due(frame, branch):
            await observe(frame, position)
        if isinstance(answer, ParkAnswer) and frame.driver.node.completions.knows(frame.delivery.id, position):
            answer = _answer(frame, branch, position, request, answer.due)
        if not isinstance(answer, ParkAnswer):
            break
        await frame.pause(Park(answer.due, retrying=isinstance(request, StepRequest)))
    if answer is PERFORM_FIRST:
        frame.driver.refuse_full(frame)
        return PERFORM_FIRST
    match answer:
        case DivergedAnswer():
            frame.diverge(answer.diff)
        case CancelAnswer():
            raise Cancelled
        case Recorded():
            return answer
        case Perform() | Look():
            frame.driver.refuse_full(frame)
            return answer
        case _:
            assert_never(answer)


def _answer(frame: Frame, branch: Branch | None, position: str, request: Request, now_ms: int | None = None) -> Answer:
    now_ms = frame.driver.node.clock.now_ms() if now_ms is None else now_ms
    if branch is None:
        aside = frame.task is not None and asyncio.current_task() is not frame.task
        return frame.execution.ask(position, request, now_ms, aside=aside)
    _refuse_stopped(frame, branch, position)
    aside = not (branch.runs_code and frame.is_own(branch))
    return frame.execution.ask(position, request, now_ms, aside=aside, branch=branch.path)


def _refuse_stopped(frame: Frame, branch: Branch, position: str) -> None:
    """A branch that was stopped goes as far as it had come; a step that ran when its race was lost is finished."""
    if not branch.stopped:
        return
    entry = frame.execution.at(position)
    is_recorded = entry is not None and (is_final(entry) or isinstance(entry, Held))
    is_recorded = is_recorded or position in frame.execution.cancels.values()
    if not (is_recorded or (branch.lost and isinstance(entry, Begun))):
        raise asyncio.CancelledError


async def perform_step(step: Step[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
    """One step: its recorded result, or one attempt of it."""
    with active(frame):
        if step.undo is not None and not frame.reaction.handler.gating:
            raise _no_undo_here(step, frame)
        hashed = step.hash_of(arguments)
        answer = await ask(frame, position, StepRequest(hashed))
        while not isinstance(answer, Recorded):
            try:
                return await (
                    _handed_over(step, frame, position, hashed, arguments)
                    if isinstance(answer, Look)
                    else _attempt(step, frame, position, (hashed, arguments), answer)
                )
            except _LooksAgain:
                answer = await ask(frame, position, StepRequest(hashed))
        if isinstance(answer.entry, Abandoned):
            await undo_abandoned(frame, answer.entry)
        return _recorded(step, answer.entry, frame)


async def _attempt(
    step: Step[..., Any], frame: Frame, position: str, call: tuple[int, tuple[Any, ...]], answer: Perform
) -> Any:
    (hashed, arguments), driver, undo = call, frame.driver, step.undo_name
    if undo is not None and not answer.begun:
        driver.node.steps[undo] = step
        frame.execution.tell(Begun(position, hashed, undo, step.call_codec.encode(arguments)))
    attempt = await attempt_of(step, frame, position, answer.attempt) if step.is_long else None
    came = _completed(frame, position, answer.attempt)
    if came is not None:  # of an earlier attempt, or it is skipped, in time to spare this one
        if step.is_pivot:
            await driver.node.waves.pivot(frame, step.name)
        return await _succeeded(step, frame, position, call, step.result_codec.read(came), answer.attempt)
    branch = frame.here()
    if branch is None or not branch.cleared:
        await frame.decided()
        driver.save(frame)
        frame.barred = frame.reaction.patient = True
        await frame.barrier()
    if branch is not None and branch.stopped:
        _refuse_unbegun(frame, branch, position, hashed, begun=answer.begun)
    if step.is_pivot:
        await driver.node.waves.pivot(frame, step.name)
    first = answer.first or driver.node.clock.now_ms()
    mark = None if attempt is None else ATTEMPT.set(attempt)
    try:
        result = await driver.node.invoke(step, frame, position, arguments)
    except CompletedElsewhere:
        due = hand_over_until(step, driver.node.clock.now_ms())
        driver.tell(frame, HandedOver(position, hashed, answer.attempt, due, first))
        return await _handed_over(step, frame, position, hashed, arguments)
    except Exception as error:  # noqa: BLE001  the policy decides what it means
        came = _completed(frame, position, answer.attempt)
        if came is None:
            return await _failed_attempt(step, frame, position, hashed, error, (answer.attempt, first))
        result = step.result_codec.read(came)
    else:
        came = _completed(frame, position, answer.attempt)
        result = result if came is None else step.result_codec.read(came)
    finally:
        if attempt is not None and mark is not None:
            ATTEMPT.reset(mark)
            attempt.end()
    return await _succeeded(step, frame, position, call, result, answer.attempt)


def _completed(frame: Frame, position: str, attempt: int) -> bytes | None:
    """The result that somebody outside was told is taken, whatever the function comes to; it is dropped then."""
    came = frame.driver.node.completions.take(frame, position, attempt)
    return None if came is None else came.data


async def _succeeded(
    step: Step[..., Any], frame: Frame, position: str, call: tuple[int, tuple[Any, ...]], result: Any, attempt: int
) -> Any:
    hashed, arguments = call
    data, result = _as_recorded(step, result)
    kept = None if step.undo is None else step.call_codec.encode(arguments)
    if step.heartbeat_timeout_s is not None:
        forget_heartbeat(frame, position)
    ended = frame.driver.node.clock.now_ms()
    kind = Abandoned if (branch := frame.here()) is not None and branch.lost else Stepped
    entry = kind(position, hashed, data, step.schema, attempt, ended, step.undo_name, kept, step.version)
    frame.driver.tell(frame, entry)
    if isinstance(entry, Abandoned):
        await undo_abandoned(frame, entry)
    return result


async def _handed_over(
    step: Step[..., Any], frame: Frame, position: str, hashed: int, arguments: tuple[Any, ...]
) -> Any:
    """A step that somebody outside completes: take what came, or park until something does or the time is over."""
    entry = frame.execution.at(position)
    assert isinstance(entry, HandedOver), "only such a call is looked for"
    node = frame.driver.node
    outcome = node.completions.take(frame, position, entry.attempts)
    if outcome is not None and outcome.data is not None:
        result = step.result_codec.read(outcome.data)
        return await _succeeded(step, frame, position, (hashed, arguments), result, entry.attempts)
    if outcome is None and node.clock.now_ms() < entry.due:
        await frame.pause(Park(entry.due))
        raise _LooksAgain
    error = TimeoutError("nobody completed it in time") if outcome is None else outcome.as_error(step.give_up_on)
    return await _failed_attempt(step, frame, position, hashed, error, (entry.attempts, entry.first))


def _refuse_unbegun(frame: Frame, branch: Branch, position: str, hashed: int, *, begun: bool) -> None:
    """The branch was stopped while its step waited for the disk: it has had no effect, so it is not in doubt."""
    is_marked = isinstance(frame.execution.at(position), Begun)
    if begun and is_marked and branch.lost:
        return  # it was in doubt when this run began: it is finished, to be undone
    if is_marked and not begun:
        frame.driver.tell(frame, Attempted(position, hashed, 0, 0, NEVER_BEGAN, 0))
    raise asyncio.CancelledError


def _no_undo_here(step: Step[..., Any], frame: Frame) -> UsageError:
    return UsageError(
        f"{frame.reaction.name} calls {step.name}, a step with an undo, and is not gating\n"
        "  why: no process waits for this handler, so none would have its steps undone\n"
        f"  to do: write gating=True where the handler is declared ({frame.reaction.handler.where}), or use a step "
        "without undo="
    )


async def run_function(step: Step[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
    """Run the user's function: on the loop if it is async, else in a thread that is always waited for."""
    node = frame.driver.node
    mark = INSIDE_STEP.set((frame, position))
    try:
        if step.timeout_s is None and step.heartbeat_timeout_s is None and step.is_async:
            return await step.run(*arguments)
        async with asyncio.timeout(step.timeout_s), beating(step):
            if step.is_async:
                return await step.run(*arguments)
            context = copy_context()
            return await node.workers.run(lambda: context.run(step.run, *arguments))
    finally:
        INSIDE_STEP.reset(mark)


async def _failed_attempt(
    step: Step[..., Any], frame: Frame, position: str, hashed: int, error: Exception, attempt: tuple[int, int]
) -> Any:
    attempts, first = attempt
    if isinstance(error, UsageError):
        raise error
    if isinstance(error, Reject):
        raise _give_up(step, frame, position, hashed, error, attempts)
    node = frame.driver.node
    pause = delay(step.policy, attempts, error, node.clock.chance())
    now = node.clock.now_ms()
    total_s = step.total_timeout_s
    if not isinstance(pause, timedelta) or (total_s is not None and now + pause / _MS - first > total_s * 1000):
        raise _give_up(step, frame, position, hashed, error, attempts)
    due = now + round(pause / _MS)
    frame.driver.tell(frame, Attempted(position, hashed, attempts, due, error_text(error), first))
    await frame.pause(Park(due, retrying=True))
    raise _LooksAgain


_MS = timedelta(milliseconds=1)


def _give_up(
    durable: Durable[Any], frame: Frame, position: str, hashed: int, error: Exception, attempts: int
) -> Exception:
    """Record the failure (it stays tentative until the handler goes on past it); answers what to raise."""
    text = error_text(error)
    kind, data = None, None
    if isinstance(error, (Reject, *durable.give_up_on)):
        kind = _kind(type(error))
        try:
            data = encode_any(error.args)
        except NoCodec:
            kind = None
    failed = Failed(position, hashed, kind, data, text, attempts)
    branch = frame.here()
    frame.execution.tell(failed, "" if branch is None else branch.path)
    raised = _rebuilt(durable, failed)
    raised.__cause__ = error
    return raised


def _recorded(durable: Durable[Any], entry: Entry, frame: Frame) -> Any:
    if isinstance(entry, Failed):
        raise _rebuilt(durable, entry)
    assert isinstance(entry, Stepped | Transacted), "`ask` lets nothing else through"
    try:
        return durable.recorded_result(entry.result, entry.version)
    except DecodeFailed as error:
        frame.diverge(_unreadable(durable, entry, error))


def _unreadable(durable: Durable[Any], entry: Stepped | Transacted, error: DecodeFailed) -> str:
    changed = "its type has changed since" if entry.schema != durable.schema else "its class refuses it"
    return (
        f"the recorded result of {durable.name} does not fit its annotation any more: {error}\n"
        f"  why: it was recorded as version {entry.version}, and {changed} ({durable.where})\n"
        f"  to do: give the {durable.kind} version={entry.version + 1} and the way there with @upcast({durable.name}, "
        f"{entry.version}, {entry.version + 1}), or accept the old shape too\n  at: {entry.position}"
    )


def _rebuilt(durable: Durable[Any], failed: Failed) -> Exception:
    """The same exception live and on replay: a `give_up_on` type by its name and arguments, else `StepFailed`."""
    if failed.kind is not None and failed.rebuilt_from is not None:
        kinds: tuple[type[Exception], ...] = (Reject, *durable.give_up_on)
        for kind in kinds:
            if _kind(kind) == failed.kind:
                return _made(kind, msgspec.json.decode(failed.rebuilt_from))
    return StepFailed(durable.name, failed.error, failed.attempts)


def _made(kind: type[Exception], arguments: list[Any]) -> Exception:
    try:
        return kind(*arguments)
    except Exception:  # noqa: BLE001  its constructor takes something else than what stands in `args`
        return kind.__new__(kind, *arguments)


def _kind(error: type[BaseException]) -> str:
    return f"{error.__module__}.{error.__qualname__}"


def _as_recorded(durable: Durable[Any], result: Any) -> tuple[bytes, Any]:
    """A result encoded, and as replay will answer it: the handler gets the same now."""
    codec = durable.result_codec
    try:
        data = bytes(codec.encode(result))
        return data, codec.decode(data)
    except Exception as error:  # the class's own code may raise anything
        raise UsageError(
            f"{durable.kind} {durable.name} returned {type(result).__qualname__}, not what its annotation says\n"
            f"  why: {error}\n  to do: mend the annotation or the result ({durable.where})"
        ) from error


async def perform_transaction(
    step: TransactionStep[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]
) -> Any:
    """One transaction: its recorded result, or a commit of its own with the function inside."""
    with active(frame):
        hashed = step.hash_of(arguments)
        answer = await ask(frame, position, TransactionRequest(hashed))
        if isinstance(answer, Recorded):
            return _recorded(step, answer.entry, frame)
        driver, execution = frame.driver, frame.execution

        mark = INSIDE_STEP.set((frame, position))
        context = copy_context()  # the writer's thread knows nothing of this execution
        INSIDE_STEP.reset(mark)

        def run(connection: Any) -> Entry:
            result = context.run(step.run, connection, *arguments)
            return Transacted(position, hashed, _as_recorded(step, result)[0], step.schema, step.version)

        await frame.decided()
        frame.leave_if_stopped()
        driver.save(frame)
        before = frame.after
        at = driver.commit(frame, Status.RUNNING, transaction=Transaction(run))
        execution.reserve()
        driver.node.dispatcher.flush_soon()
        frame.undecided = decided = asyncio.get_running_loop().create_future()
        try:
            entry = await driver.node.store.durable(at)
        except Refused as refused:
            _refused(frame, refused, at, before)
            error = refused.refusal.error
            assert isinstance(error, Exception), "a user's refusal carries the exception"
            if isinstance(error, UsageError):
                raise error from None
            raise _give_up(step, frame, position, hashed, error, 1) from error
        finally:
            frame.undecided = None
            decided.set_result(None)
            driver.save_soon(frame)  # what was told meanwhile
        assert isinstance(entry, Transacted), "the writer answers with the entry it wrote"
        execution.committed(entry)
        return step.result_codec.decode(entry.result)


def _refused(frame: Frame, refused: Refused, at: int, before: int) -> None:
    """Go on without the refused commit, if it was the user's function that refused it and nothing followed it."""
    if refused.refusal.because != RefusedBecause.USER or frame.after != at:
        frame.parked = Park()
        raise frame.parked
    frame.after = frame.delivery.after = before
    frame.execution.unreserve()

"""Runs steps and transactions: asks the journal, waits for durability, performs, records."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from onstage.core.commit import RefusedBecause, Transaction
from onstage.core.journal import Attempted, Begun, Failed, Stepped, Transacted
from onstage.core.requests import (
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
from onstage.errors import Cancelled, Reject, StepFailed, UsageError
from onstage.events.codec import DecodeFailed, NoCodec, encode_any
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.call import active
from onstage.runtime.cancelling import is_due, observe
from onstage.runtime.error_text import error_text
from onstage.runtime.frame import INSIDE_STEP, Frame, Park

if TYPE_CHECKING:
    from onstage.core.journal import Entry
    from onstage.runtime.step import Durable, Step, TransactionStep

__all__ = ["ask", "perform_step", "perform_transaction", "run_function"]


async def ask(frame: Frame, position: str, request: Request) -> Recorded | Perform | Look:
    """Ask the journal; parks or diverges here, so that the caller sees only what it can act on."""
    aside = frame.task is not None and asyncio.current_task() is not frame.task
    answer = frame.execution.ask(position, request, frame.driver.node.clock.now_ms(), aside=aside)
    if not isinstance(answer, Recorded | CancelAnswer | DivergedAnswer) and is_due(frame):
        raise await observe(frame, position)
    match answer:
        case ParkAnswer():
            await frame.park(Park(answer.due, retrying=isinstance(request, StepRequest)))
            raise AssertionError("a parked call does not go on")
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


async def perform_step(step: Step[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
    """One step: its recorded result, or one attempt of it."""
    with active(frame):
        hashed = step.hash_of(arguments)
        answer = await ask(frame, position, StepRequest(hashed))
        if isinstance(answer, Recorded):
            return _recorded(step, answer.entry)
        assert isinstance(answer, Perform), "a step is recorded or performed"
        driver = frame.driver
        undo = step.undo_name
        if undo is not None and not answer.begun:
            driver.node.steps[undo] = step
            frame.execution.tell(Begun(position, hashed, undo, step.call_codec.encode(arguments)))
        await frame.decided()
        driver.save(frame)
        frame.barred = frame.reaction.patient = True
        await frame.barrier()
        first = answer.first or driver.node.clock.now_ms()
        try:
            result = await driver.node.invoke(step, frame, position, arguments)
        except Exception as error:  # noqa: BLE001  the policy decides what it means
            return await _failed_attempt(step, frame, position, hashed, error, (answer.attempt, first))
        data, result = _as_recorded(step, result)
        call = None if undo is None else step.call_codec.encode(arguments)
        ended = driver.node.clock.now_ms()
        driver.tell(frame, Stepped(position, hashed, data, step.schema, answer.attempt, ended, undo, call))
        return result


async def run_function(step: Step[..., Any], frame: Frame, position: str, arguments: tuple[Any, ...]) -> Any:
    """Run the user's function: on the loop if it is async, else in a thread that is always waited for."""
    node = frame.driver.node
    mark = INSIDE_STEP.set((frame, position))
    try:
        if step.timeout_s is None and step.is_async:
            return await step.run(*arguments)
        async with asyncio.timeout(step.timeout_s):
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
    if isinstance(error, Reject | UsageError):
        raise error
    node = frame.driver.node
    pause = delay(step.policy, attempts, error, node.clock.chance())
    now = node.clock.now_ms()
    total_s = step.total_timeout_s
    if not isinstance(pause, timedelta) or (total_s is not None and now + pause / _MS - first > total_s * 1000):
        raise _give_up(step, frame, position, hashed, error, attempts)
    due = now + round(pause / _MS)
    frame.driver.tell(frame, Attempted(position, hashed, attempts, due, error_text(error), first))
    await frame.park(Park(due, retrying=True))
    raise AssertionError("a parked call does not go on")


_MS = timedelta(milliseconds=1)


def _give_up(
    durable: Durable[Any], frame: Frame, position: str, hashed: int, error: Exception, attempts: int
) -> Exception:
    """Record the failure (it stays tentative until the handler goes on past it); answers what to raise."""
    text = error_text(error)
    kind, data = None, None
    if isinstance(error, durable.give_up_on):
        kind = _kind(type(error))
        try:
            data = encode_any(error.args)
        except NoCodec:
            kind = None
    failed = Failed(position, hashed, kind, data, text, attempts)
    frame.execution.tell(failed)
    raised = _rebuilt(durable, failed)
    raised.__cause__ = error
    return raised


def _recorded(durable: Durable[Any], entry: Entry) -> Any:
    if isinstance(entry, Failed):
        raise _rebuilt(durable, entry)
    assert isinstance(entry, Stepped | Transacted), "`ask` lets nothing else through"
    try:
        return durable.result_codec.read(entry.result)
    except DecodeFailed as error:
        raise UsageError(
            f"the recorded result of {durable.name} does not fit its annotation any more: {error}\n"
            "  why: the result type changed while executions were open\n  to do: accept the old shape too"
        ) from error


def _rebuilt(durable: Durable[Any], failed: Failed) -> Exception:
    """The same exception live and on replay: a `give_up_on` type by its name and arguments, else `StepFailed`."""
    if failed.kind is not None and failed.rebuilt_from is not None:
        for kind in durable.give_up_on:
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
            return _recorded(step, answer.entry)
        driver, execution = frame.driver, frame.execution

        mark = INSIDE_STEP.set((frame, position))
        context = copy_context()  # the writer's thread knows nothing of this execution
        INSIDE_STEP.reset(mark)

        def run(connection: Any) -> Entry:
            result = context.run(step.run, connection, *arguments)
            return Transacted(position, hashed, _as_recorded(step, result)[0], step.schema)

        await frame.decided()
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
            if isinstance(error, Reject | UsageError):
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

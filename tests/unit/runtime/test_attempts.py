"""Attempts of steps and transactions: what is retried, what reaches the handler, live and on replay."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, Paid, Placed, memory, playing

from onstage import Retry, Service, emit, step, wait
from onstage.core.journal import Begun
from onstage.errors import RetryAfter, StepFailed
from onstage.events.receipt import Status


class CardDeclined(Exception):
    def __init__(self, order_id: str, reason: str) -> None:
        super().__init__(order_id, reason)
        self.reason = reason


class OddlyMade(Exception):
    """Its constructor takes something else than what it keeps in `args`."""

    def __init__(self, order_id: str, *, reason: str) -> None:
        super().__init__(f"{order_id}: {reason}")


# --- what is retried --------------------------------------------------------------------------------------


def attempts_of(**options: Any) -> tuple[int, str]:
    """How often a failing step was tried, and what the handler saw of it."""
    shop, tries, seen = Service("shop"), list[int](), list[str]()

    @step(**options)
    async def charge() -> None:
        tries.append(1)
        raise ConnectionError("down")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        try:
            await charge()
        except Exception as error:  # noqa: BLE001
            seen.append(f"{type(error).__name__}: {error}")

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    return len(tries), seen[-1]


@pytest.mark.parametrize(
    ("options", "tries", "seen"),
    [
        ({}, 1, "StepFailed: step charge failed after 1 attempt: ConnectionError: down"),
        ({"retries": 3}, 4, "StepFailed: step charge failed after 4 attempts: ConnectionError: down"),
        ({"retry": Retry(2)}, 2, "StepFailed: step charge failed after 2 attempts"),
        ({"retries": 3, "retry_on": [TimeoutError]}, 1, "StepFailed: step charge failed after 1 attempt"),
        ({"retries": 3, "retry_on": [OSError]}, 4, "StepFailed"),
        ({"retries": 3, "give_up_on": [ConnectionError]}, 1, "ConnectionError: down"),
    ],
)
def test_the_policy_says_how_often(options: dict[str, Any], tries: int, seen: str) -> None:
    found = attempts_of(**options)
    assert found[0] == tries
    assert found[1].startswith(seen)


def test_total_timeout_ends_the_attempts_before_the_retries_are_spent() -> None:
    tries: list[int] = []
    shop = Service("shop")

    @step(retries=100, total_timeout="90m")
    async def charge() -> None:
        tries.append(1)
        raise RetryAfter("1h")

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> None:
        await charge()

    async def story() -> str:
        clock, store = Clock(), memory()
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
        clock.ahead_ms = 3_600_000
        async with playing(shop, on=store, clock=clock) as house:
            process = await house.stage.process("o1")
            await house.until_verdict(process, "stuck")
            return (await house.only_execution()).error or ""

    assert "failed after 2 attempts" in asyncio.run(story())
    assert len(tries) == 2


def test_retryafter_sets_the_delay() -> None:
    shop = Service("shop")

    @step(retries=1)
    async def charge() -> None:
        raise RetryAfter("1h", "busy")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await charge()

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            verdict = await house.until_verdict(process, "waiting")
            view = await house.only_execution(Status.RETRYING)
            assert view.due is not None
            assert 3_590_000 < view.due - house.node.clock.now_ms() <= 3_600_000
            assert verdict.reasons[0].startswith("shop.take tries again at ")

    asyncio.run(story())


def test_the_number_of_attempts_survives_a_restart() -> None:
    shop, tries = Service("shop"), list[int]()

    @step(retry=Retry(3, first=0.001))
    async def charge() -> None:
        tries.append(1)
        raise RetryAfter("1h")

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> None:
        await charge()

    async def story() -> str:
        store, clock = memory(), Clock()
        for night in range(2):
            async with playing(shop, on=store, clock=clock) as house:
                if night == 0:
                    await house.emit(Placed("o1"))

                async def was_tried(times: int = night + 1) -> bool:
                    return len(tries) == times and len(await house.executions(Status.RETRYING)) == 1

                await house.until(was_tried)
                clock.ahead_ms += 3_600_000
        async with playing(shop, on=store, clock=clock) as house:
            await house.until_verdict(await house.stage.process("o1"), "stuck")
            return (await house.only_execution()).error or ""

    assert "failed after 3 attempts" in asyncio.run(story())


# --- timeouts and threads ---------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_given_up_and_tried_again() -> None:
    shop, tries = Service("shop"), list[int]()

    @step(timeout="20ms", retries=1)
    async def charge() -> str:
        tries.append(1)
        if len(tries) == 1:
            await asyncio.get_running_loop().create_future()
        return "paid"

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, await charge())

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))
            assert len(await house.events("shop.paid")) == 1

    asyncio.run(story())
    assert len(tries) == 2


def test_a_thread_that_takes_too_long_is_waited_for_before_the_next_attempt() -> None:
    shop, never = Service("shop"), threading.Event()
    running, most, tries = 0, 0, 0

    @step(timeout="20ms", retries=1)
    def charge() -> str:
        nonlocal running, most, tries
        tries += 1
        running += 1
        most = max(most, running)
        if tries == 1:
            never.wait(0.2)
        running -= 1
        return f"attempt {tries}"

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, await charge())

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))
            (paid,) = await house.events("shop.paid")
            assert paid.data == f'{{"id":"o1","by":"attempt {tries}"}}'.encode()

    asyncio.run(story())
    assert tries >= 2  # on a busy machine a later one may take too long as well
    assert most == 1


def test_a_synchronous_step_runs_in_a_thread() -> None:
    shop, names = Service("shop"), list[str]()

    @step
    def charge() -> None:
        names.append(threading.current_thread().name)

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await charge()

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert names[0].startswith("onstage-step")


def test_a_cancellation_is_heard_although_the_step_ends_at_the_same_moment() -> None:
    shop, heard, began, gate = Service("shop"), list[bool](), asyncio.Event(), asyncio.Event()

    @step(timeout="1h")
    async def charge() -> None:
        began.set()
        await gate.wait()

    @shop.on(Placed)
    async def take(_: Placed) -> None:
        branch = asyncio.ensure_future(charge())
        await began.wait()
        gate.set()
        branch.cancel()
        await asyncio.wait({branch})
        heard.append(branch.cancelled())

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1"))

    asyncio.run(story())
    assert heard == [True]


def test_a_step_with_an_undo_is_marked_on_disk_before_it_runs() -> None:
    shop, began, gate = Service("shop"), asyncio.Event(), asyncio.Event()

    def refund(result: str, amount: int) -> None:
        raise AssertionError((result, amount))

    @step(undo=refund)
    async def charge(amount: int) -> str:
        began.set()
        await gate.wait()
        return f"paid {amount}"

    @shop.on(Placed)
    async def take(_: Placed) -> None:
        await charge(7)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await began.wait()
            (mark,) = (await house.stored((await house.only_execution()).id)).entries
            gate.set()
            assert (await process.verdict(timeout=5)).is_final
        assert isinstance(mark, Begun)
        assert mark.undo.endswith("charge")
        assert mark.call == b"[7]"

    asyncio.run(story())


# --- what reaches the handler, live and on replay ---------------------------------------------------------


def seen_twice(error: Exception, *give_up_on: type[Exception]) -> list[Exception]:
    """What a handler catches from a step that raises this: live, and after a restart."""
    shop, caught = Service("shop"), list[Exception]()

    @step(give_up_on=give_up_on)
    async def charge() -> None:
        raise error

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        try:
            await charge()
        except Exception as found:  # noqa: BLE001
            caught.append(found)
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        store = memory()
        async with playing(shop, on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(shop, on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await process.verdict(timeout=5)

    asyncio.run(story())
    return caught


def test_an_error_to_give_up_on_is_rebuilt_the_same_live_and_on_replay() -> None:
    live, replayed = seen_twice(CardDeclined("o1", "no cover"), CardDeclined)
    assert type(live) is type(replayed) is CardDeclined
    assert live.args == replayed.args == ("o1", "no cover")
    assert live.reason == replayed.reason == "no cover"  # type: ignore[attr-defined]


def test_an_error_that_its_args_cannot_rebuild_is_still_of_its_type() -> None:
    live, replayed = seen_twice(OddlyMade("o1", reason="no cover"), OddlyMade)
    assert type(live) is type(replayed) is OddlyMade
    assert live.args == replayed.args == ("o1: no cover",)


def test_an_error_whose_arguments_cannot_be_stored_arrives_as_stepfailed() -> None:
    live, replayed = seen_twice(CardDeclined("o1", object()), CardDeclined)  # type: ignore[arg-type]
    assert type(live) is type(replayed) is StepFailed
    assert str(live) == str(replayed)


def test_a_stepfailed_is_the_same_live_and_on_replay() -> None:
    live, replayed = seen_twice(ValueError("x"))
    assert type(live) is type(replayed) is StepFailed
    assert live.args == replayed.args
    assert (live.step, live.attempts) == ("charge", 1)  # type: ignore[attr-defined]


@dataclass
class Receipt:
    number: tuple[int, ...]


def test_live_and_replay_return_the_decoded_copy() -> None:
    shop, results = Service("shop"), list[Receipt]()
    made = Receipt((1, 2))

    @step
    async def charge() -> Receipt:
        return made

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        results.append(await charge())
        return Paid(e.id, (await wait(Approved)).by)

    async def story() -> None:
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            await house.emit(Approved("o1"), process=process)
            await process.verdict(timeout=5)

    asyncio.run(story())
    assert results[0] == results[1] == made
    assert results[0] is not made


# --- limits -----------------------------------------------------------------------------------------------


def test_the_journal_has_a_limit_for_every_kind_of_call() -> None:
    shop = Service("shop")

    @shop.on(Placed, emits=[Paid])
    async def take(e: Placed) -> None:
        for _ in range(10_001):
            await emit(Paid(e.id))

    async def story() -> str:
        async with playing(shop) as house:
            why = await house.aside(Placed("o1"))
            assert len(await house.events("shop.paid")) == 10_000
            return why

    assert "shop.take has made 10000 durable calls in one execution" in asyncio.run(story())

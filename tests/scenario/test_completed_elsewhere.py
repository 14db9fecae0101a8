"""Steps that somebody outside completes by a token: exactly once, whatever comes when, wherever the node dies."""

import asyncio
from dataclasses import dataclass

import pytest
from tests.scenario.sim_checks import check_accounts, check_settled

from onstage import App, Retry, Service, event, step
from onstage.durable import CompletedElsewhere, completion_token, continue_as_new
from onstage.errors import StepFailed, UsageError
from onstage.testing import Sim


@event("bank.asked", key="key")
@dataclass(frozen=True)
class Asked:
    key: str


@event("bank.paid", key="key")
@dataclass(frozen=True)
class Paid:
    key: str
    receipt: str


class Declined(Exception):
    pass


tokens: list[str] = []
bank = Service("bank")


@step(retries=2, give_up_on=[Declined], completion_timeout="1h")
def pay(key: str) -> str:
    tokens.append(completion_token())
    raise CompletedElsewhere


@bank.on(Asked)
async def ask(e: Asked) -> Paid:
    try:
        receipt = await pay(e.key)
    except Declined as error:
        receipt = f"declined: {error}"
    except StepFailed as error:
        receipt = f"failed after {error.attempts}: {error.error}"
    return Paid(e.key, receipt)


APP = App(bank)


def receipts(sim: Sim) -> list[str]:
    check_settled(sim)
    check_accounts(sim)
    return [paid.receipt for paid in sim.emitted(Paid)]


async def begin(sim: Sim) -> str:
    tokens.clear()
    await sim.emit(Asked("k"), id="k")
    await sim.settle()
    return tokens[-1]


async def paid(sim: Sim) -> None:
    token = await begin(sim)
    assert len(set(tokens)) == 1, "a crash gives no other token"
    assert "completed" in await sim.complete(token, "r1")
    assert "completed" in await sim.complete(token, "r1")
    await sim.settle()
    assert receipts(sim) == ["r1"]
    assert "completed" in await sim.complete(token, "r1")
    with pytest.raises(UsageError, match="another result"):
        await sim.complete(token, "r2")


def test_a_completion_is_taken_once_wherever_the_node_dies() -> None:
    async def play() -> int:
        return await Sim(APP, seed=1).every_crash(paid)

    assert asyncio.run(play()) >= 6


async def failed_then_paid(sim: Sim) -> None:
    token = await begin(sim)
    await sim.fail_from_outside(token, "the line is busy")
    await sim.settle()
    second = tokens[-1]
    assert second != token, "each attempt has a token of its own"
    assert "failed" in await sim.fail_from_outside(token, "the line is busy")
    await sim.complete(second, "r2")
    await sim.settle()
    assert receipts(sim) == ["r2"]


def test_a_failure_from_outside_is_an_attempt() -> None:
    async def play() -> int:
        return await Sim(APP, seed=2).every_crash(failed_then_paid)

    assert asyncio.run(play()) >= 8


def played(*acts: tuple[str, object]) -> list[str]:
    """The receipts after the bank said this, one thing an hour."""

    async def play() -> list[str]:
        async with Sim(APP, seed=3) as sim:
            await begin(sim)
            for act, what in acts:
                match act:
                    case "complete":
                        await sim.complete(tokens[-1], what)
                    case "fail":
                        await sim.fail_from_outside(tokens[-1], what)  # type: ignore[arg-type]
                    case _:
                        await sim.advance(str(what))
                await sim.settle()
            return receipts(sim)

    return asyncio.run(play())


def test_an_exception_that_the_step_gives_up_on_reaches_the_handler() -> None:
    assert played(("fail", Declined("no money"))) == ["declined: no money"]


def test_failures_from_outside_use_up_the_attempts() -> None:
    assert played(*[("fail", "busy")] * 3)[0].startswith("failed after 3: onstage.errors.CompletionFailed: busy")


def test_time_runs_out_as_often_as_there_are_attempts() -> None:
    (receipt,) = played(("pass", "4h"))
    assert receipt.startswith("failed after 3: TimeoutError: nobody completed it in time")


def test_a_completion_that_comes_between_two_attempts_spares_the_next() -> None:
    patient = Service("patient")

    @step(retry=Retry(3, first="100d", most="100d"), completion_timeout="1h")
    def pay_patiently(key: str) -> str:
        tokens.append(completion_token())
        raise CompletedElsewhere

    @patient.on(Asked)
    async def ask_patiently(e: Asked) -> Paid:
        return Paid(e.key, await pay_patiently(e.key))

    async def play() -> tuple[list[str], int]:
        async with Sim(App(patient), seed=4) as sim:
            first = await begin(sim)
            await sim.advance("61m")
            assert sim.verdict("k").status == "waiting", "for its next attempt"
            await sim.complete(first, "late")
            await sim.advance("100d")
            return receipts(sim), sim.calls(pay_patiently)

    assert asyncio.run(play()) == (["late"], 1)


def test_a_completion_before_the_step_has_parked_is_kept() -> None:
    async def play() -> list[str]:
        async with Sim(early, seed=5) as sim:
            tokens.clear()
            await sim.emit(Asked("k"))
            while not tokens:
                await sim.advance("1s")
            await sim.complete(tokens[-1], "early")
            for other in (sim.complete(tokens[-1], "other"), sim.fail_from_outside(tokens[-1], "no")):
                with pytest.raises(UsageError, match="completed otherwise"):
                    await other
            await sim.advance("1m")
            return receipts(sim)

    service = Service("early")

    @step(completion_timeout="1h")
    async def pay_slowly(key: str) -> str:
        tokens.append(completion_token())
        await asyncio.sleep(30)
        raise CompletedElsewhere

    @service.on(Asked)
    async def ask_slowly(e: Asked) -> Paid:
        return Paid(e.key, await pay_slowly(e.key))

    early = App(service)
    assert asyncio.run(play()) == ["early"]


@pytest.mark.parametrize("end", ["raises", "gives up", "returns"])
def test_a_completion_that_was_told_is_taken_whatever_the_function_comes_to(end: str) -> None:
    service = Service("hasty")

    @step(retries=0 if end == "gives up" else 2, completion_timeout="1h")
    async def pay_hastily(key: str) -> str:
        tokens.append(completion_token())
        await asyncio.sleep(30)
        if end == "returns":
            return "its own"
        raise ConnectionError("no line")

    @service.on(Asked)
    async def ask_hastily(e: Asked) -> Paid:
        return Paid(e.key, await pay_hastily(e.key))

    async def play() -> tuple[list[str], int]:
        async with Sim(App(service), seed=8) as sim:
            tokens.clear()
            await sim.emit(Asked("k"))
            while not tokens:
                await sim.advance("1s")
            await sim.complete(tokens[-1], "told")
            await sim.advance("1m")
            return receipts(sim), sim.calls(pay_hastily)

    assert asyncio.run(play()) == (["told"], 1)


def test_each_run_of_a_workflow_that_begins_anew_has_a_token_of_its_own() -> None:
    service, ended = Service("laps"), list[str]()

    @service.workflow
    async def laps(left: int) -> str:
        receipt = await pay(str(left))
        ended.append(receipt)
        if left:
            continue_as_new(left - 1)
        return receipt

    async def play() -> None:
        async with Sim(App(service), seed=10) as sim:
            tokens.clear()
            await sim.start(laps, 1, id="laps")
            await sim.settle()
            await sim.complete(tokens[0], "first")
            await sim.settle()
            with pytest.raises(UsageError, match="unknown"):
                await sim.complete(tokens[0], "second")
            await sim.complete(tokens[1], "second")
            await sim.settle()

    asyncio.run(play())
    assert ended == ["first", "second"]


def test_what_is_no_token_of_a_step_here_is_refused() -> None:
    async def play() -> list[str]:
        async with Sim(APP, seed=6) as sim, Sim(APP, seed=7) as other:
            mine = await begin(sim)
            foreign = await begin(other)
            said = []
            for token in ("", "x" * 3_000, "nonsense", foreign, mine[:-2] + "AA"):
                with pytest.raises(UsageError) as caught:
                    await sim.complete(token, "r")
                said.append(str(caught.value).partition("\n")[0])
            with pytest.raises(UsageError) as caught:
                await sim.complete(mine, 5)
            await sim.complete(mine, "r")
            with pytest.raises(UsageError, match=r"completed otherwise|another result"):
                await sim.fail_from_outside(mine, "no")
            return [*said, str(caught.value).partition("\n")[0]]

    empty, long, nonsense, foreign, forged, unfit = asyncio.run(play())
    assert empty == long == nonsense == "this is no completion token"
    assert foreign.startswith("this token is of store")
    assert forged == "this token is unknown"
    assert unfit == "the result does not fit step pay"

"""A history told again."""

import asyncio
from dataclasses import dataclass

import pytest

from onstage import App, Process, Service, event, step
from onstage.testing import Recorded, Sim, as_event, reached, types_of


@event("retold.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


@event("retold.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str
    receipt: str


till = Service("till")


@step(retries=3)
async def charge(id: str) -> str:
    raise AssertionError("outside is touched")


@till.on(Placed)
async def pay(e: Placed) -> Paid:
    return Paid(e.id, await charge(e.id))


app = App(till, Process("order", starts=Placed, done=Paid))


async def play(*recorded: Recorded, keys: tuple[str, ...] = ("o1",)) -> tuple[list[str], list[str]]:
    async with Sim(app, faults=recorded) as sim:
        processes = [await sim.emit(as_event(app, "retold.placed", {"id": key})) for key in keys]
        verdicts = [await reached(sim, process, "completed", within_s=60) for process in processes]
        assert types_of(sim, processes[0])[-1] == "retold.placed"
        return [verdict.status for verdict in verdicts], [paid.receipt for paid in sim.emitted(Paid)]


def test_a_step_answers_what_it_answered_after_as_many_failures() -> None:
    told = Recorded("till.pay", "charge#0", "r1", failures=2, error="the bank is away")
    assert asyncio.run(play(told)) == (["completed"], ["r1"])


def test_each_execution_takes_one() -> None:
    told = [Recorded("till.pay", "charge#0", receipt) for receipt in ("r1", "r2")]
    assert asyncio.run(play(*told, keys=("o1", "o2"))) == (["completed", "completed"], ["r1", "r2"])


def test_what_failed_for_good_fails_for_good_and_what_is_not_told_fails() -> None:
    for told in (
        Recorded("till.pay", "charge#0", fails_for_good=True, error="no"),
        Recorded("till.other", "charge#0", "r1"),
    ):
        assert asyncio.run(play(told)) == (["stuck"], [])


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(LookupError, match="no event type nothing"):
        as_event(app, "nothing", {})

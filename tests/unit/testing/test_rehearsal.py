"""A rehearsal: what is recorded is answered, what is not stops it, and nothing happens."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed

import onstage
from onstage import Reject, Retry, Service, patched, race, sleep, step, wait
from onstage.core.journal import (
    Continued,
    Entry,
    ScopeRejected,
    SleepOpened,
    Slept,
    Stepped,
    WaitEnded,
    fingerprint,
)
from onstage.durable import continue_as_new, scope
from onstage.events.codec import canonical
from onstage.events.event import event_type
from onstage.runtime.delivery import Delivery, Reaction
from onstage.runtime.frame import Park
from onstage.testing.rehearsal import Frontier, Rehearsed, Scene, place_in, rehearse

done: list[str] = []


@step
async def charge(what: str) -> str:
    done.append(what)
    return what


def charged(what: str, occurrence: int = 0) -> Stepped:
    arguments = fingerprint(canonical((what,)))
    return Stepped(f"charge#{occurrence}", arguments, b'"%s"' % what.encode(), charge.schema, 1, 5)


def run(handler: Any, *entries: Entry) -> Rehearsed:
    shop = Service("shop")
    declared = shop.on(Placed, emits=[Paid], waits=[Approved], name="take")(handler)
    delivery = Delivery(1 << 16 | 1, Reaction(declared, 1, Retry(1)), 1, None, None)
    scene = Scene({known.name: known for known in map(event_type, (Placed, Paid, Approved))})
    return asyncio.run(_rehearsed(delivery, entries, scene))


async def _rehearsed(delivery: Delivery, entries: tuple[Entry, ...], scene: Scene) -> Rehearsed:
    async with asyncio.timeout(30):
        return await rehearse(delivery, entries, Placed("o1"), scene)


async def two_calls(e: Placed) -> Paid:
    return Paid(e.id, await charge("a") + await charge("b"))


def test_recorded_calls_are_answered_to_the_end() -> None:
    ran = run(two_calls, charged("a"), charged("b", 1))
    assert (ran.result, ran.end, ran.diff) == (Paid("o1", "ab"), None, None)


def test_the_first_call_that_is_not_recorded_stops_it_and_nothing_is_done() -> None:
    done.clear()
    ran = run(two_calls, charged("a"))
    assert isinstance(ran.end, Frontier)
    assert ran.diff is None
    assert done == []


@pytest.mark.parametrize("call", ["sleep", "wait", "emit", "now", "random", "uuid"])
def test_whatever_is_not_recorded_is_the_frontier(call: str) -> None:
    async def handler(e: Placed) -> None:
        await charge("a")
        try:
            match call:
                case "sleep":
                    await sleep("1h")
                case "wait":
                    await wait(Approved)
                case "emit":
                    await onstage.emit(Paid("o1"))
                case name:
                    getattr(onstage, name)()
        except Exception as error:
            raise AssertionError from error

    ran = run(handler, charged("a"))
    assert not isinstance(ran.end, Exception), ran.end
    assert ran.end is not None
    assert ran.diff is None


@pytest.mark.parametrize("beside", ["step", "sleep"])
def test_a_race_whose_first_ends_at_the_frontier_ends_the_rehearsal(beside: str) -> None:
    async def handler(e: Placed) -> None:
        await race(charge("a"), charge("b") if beside == "step" else sleep("40s"))

    done.clear()
    ran = run(handler)
    assert isinstance(ran.end, Frontier | Park)
    assert ran.diff is None
    assert done == []


def test_a_divergence_is_found_with_its_line() -> None:
    async def handler(e: Placed) -> None:
        await charge("a")
        await sleep("1h")  # here

    ran = run(handler, charged("a"), charged("b", 1))
    assert "asks for sleep#0" in (ran.diff or "")
    file, _, line = place_in(ran.end, "").rpartition(":")
    assert file == __file__
    with open(__file__) as source:  # noqa: PTH123
        assert "# here" in source.readlines()[int(line) - 1]


def test_a_branch_that_diverges_is_found_behind_one_that_stops() -> None:
    async def handler(e: Placed) -> None:
        await asyncio.gather(charge("new"), charge("other"))

    ran = run(handler, charged("b", 1))
    assert "step with arguments" in (ran.diff or "")


def test_what_is_left_over_at_the_end_is_found() -> None:
    async def handler(e: Placed) -> None:
        await charge("a")

    assert run(handler, charged("a"), charged("b", 1)).diff == "the handler returned, the journal also has charge#1"


def test_waits_and_sleeps_are_answered_as_recorded() -> None:
    async def handler(e: Placed) -> Paid:
        await sleep("1h")
        return Paid(e.id, (await wait(Approved)).by)

    taken = WaitEnded("wait#0", 7, "shop.approved", b'{"id":"o1","by":"ann"}')
    assert run(handler, SleepOpened("sleep#0", 9), Slept("sleep#0"), taken).result == Paid("o1", "ann")
    assert run(handler, SleepOpened("sleep#0", 9)).diff is None  # it still sleeps


def test_without_code_of_the_user_the_place_is_the_handlers() -> None:
    assert place_in(None, "app.py:3") == "app.py:3"


def test_a_scope_that_was_given_up_is_not_undone() -> None:
    undone: list[str] = []

    async def refund(_: str, what: str) -> None:
        undone.append(what)

    @step(undo=refund)
    async def pay(what: str) -> str:
        return what

    async def handler(_: Placed) -> None:
        async with scope("part"):
            await pay("a")
            raise Reject("no")

    arguments = fingerprint(canonical(("a",)))
    paid = Stepped("scope part#0/0/pay#0", arguments, b'"a"', pay.schema, 1, 5, pay.undo_name, b'["a"]')
    ran = run(handler, paid, ScopeRejected("scope part#0", "no"))
    assert isinstance(ran.end, Frontier), ran.end
    assert ran.diff is None
    assert undone == []


def test_a_workflow_that_has_begun_anew_is_given_the_input_of_its_last_beginning() -> None:
    given: list[int] = []
    shop = Service("shop")

    @shop.workflow
    async def tick(n: int) -> int:
        given.append(n)
        if n < 2:
            continue_as_new(n + 1)
        return n

    delivery = Delivery(1 << 16 | 1, Reaction(tick, 1, Retry(1)), 1, None, None)
    entries = (Continued("continue", b"1"), Continued("continue", b"2"))
    ran = asyncio.run(rehearse(delivery, entries, 0, Scene({})))
    assert (given, ran.result, ran.end) == ([2], 2, None)


async def changed_twice(e: Placed) -> Paid:
    first = await charge("a")
    if patched("more"):
        first += await charge("b")
    return Paid(e.id, first + (await charge("c") if patched("more") else await charge("d")))


def test_a_change_that_an_old_journal_does_not_tell_of_is_no_frontier() -> None:
    assert run(changed_twice, charged("a"), charged("d", 1)).result == Paid("o1", "ad")
    assert run(changed_twice, charged("a"), charged("e", 1)).diff is not None, "what follows is looked at"
    assert isinstance(run(changed_twice, charged("a")).end, Frontier)
    assert done == []

"""Scopes and shields: what ends in them, what passes through."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, memory, playing

from onstage import Reject, Service, gather, sleep, spawn, step, wait
from onstage.durable import scope, shield
from onstage.errors import StepFailed, UsageError
from onstage.events.receipt import Status
from onstage.runtime.frame import CURRENT

heard: list[str] = []


async def unbook(result: str, name: str) -> None:
    heard.append(f"undo {name}")


@step(undo=unbook)
async def book(name: str) -> str:
    heard.append(name)
    return name


@step
async def fails() -> None:
    raise ValueError("no line")


def played(handler: object, *events: object) -> str:
    """Play one handler of `Placed`; answers what it paid by."""
    heard.clear()

    async def run() -> str:
        shop = Service("shop")
        shop.on(Placed, emits=[Paid], waits=[Approved])(handler)  # type: ignore[call-overload]
        async with playing(shop) as house:
            process = await house.emit(Placed("o1"))
            for event in events:
                await house.emit(event, process=process)
            assert (await process.verdict(timeout=10)).is_final
            return "".join(event.data.decode() for event in await house.events("shop.paid"))

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["", "a/b", "a#1"])
def test_a_scope_has_a_name_that_fits_into_a_position(name: str) -> None:
    with pytest.raises(UsageError, match="is part of the positions"):
        scope(name)


def test_outside_an_execution_a_scope_only_catches_the_rejection() -> None:
    async def run() -> str:
        async with scope("trip") as trip:
            raise Reject("full")
        return str(trip.rejected)

    assert asyncio.run(run()) == "full"


def test_a_scope_that_ends_well_keeps_what_was_done() -> None:
    async def take(e: Placed) -> Paid:
        async with scope("trip") as trip:
            await book("flight")
        return Paid(e.id, str(trip.rejected))

    assert played(take) == '{"id":"o1","by":"None"}'
    assert heard == ["flight"]


def test_any_other_exception_passes_and_undoes_nothing() -> None:
    async def take(e: Placed) -> Paid:
        try:
            async with scope("trip"):
                await book("flight")
                await fails()
        except StepFailed:
            return Paid(e.id, "caught")
        raise AssertionError

    assert played(take) == '{"id":"o1","by":"caught"}'
    assert heard == ["flight"]


def test_a_rejection_in_a_task_group_aborts_the_scope_as_well() -> None:
    async def take(e: Placed) -> Paid:
        async with scope("trip") as trip:
            await book("flight")
            async with asyncio.TaskGroup():
                raise Reject("full")
        return Paid(e.id, str(trip.rejected))

    assert played(take) == '{"id":"o1","by":"full"}'
    assert heard == ["flight", "undo flight"]


def test_a_scope_ends_after_what_was_spawned_in_it_and_hears_its_rejection() -> None:
    async def declined() -> None:
        await wait(Approved)
        raise Reject("declined")

    async def take(e: Placed) -> Paid:
        async with scope("trip") as trip:
            spawn(declined())
            await book("flight")
        return Paid(e.id, str(trip.rejected))

    assert played(take, Approved("o1")) == '{"id":"o1","by":"declined"}'
    assert heard == ["flight", "undo flight"]


def test_a_branch_in_an_aborted_scope_goes_no_further_on_replay() -> None:
    async def beside() -> None:
        await book("one")
        await sleep("1h")
        await book("two")

    async def take(e: Placed) -> Paid:
        async with scope("trip"):
            spawn(beside())
            await book("flight")
            await book("hotel")
            raise Reject("full")
        answer = await wait(Approved)
        return Paid(e.id, answer.by)

    assert played(take, Approved("o1", "ada")) == '{"id":"o1","by":"ada"}'
    assert sorted(heard) == ["flight", "hotel", "one", "undo flight", "undo hotel", "undo one"]


def test_scopes_side_by_side_are_aborted_each_alone() -> None:
    async def trip(name: str, *, fits: bool) -> str:
        async with scope(name) as one:
            await book(name)
            if not fits:
                raise Reject("full")
        return f"{name} {one.rejected}"

    async def take(e: Placed) -> Paid:
        return Paid(e.id, ", ".join(await gather(trip("a", fits=True), trip("b", fits=False), trip("c", fits=True))))

    assert played(take) == '{"id":"o1","by":"a None, b full, c None"}'
    assert sorted(heard) == ["a", "b", "c", "undo b"]


def test_what_a_scope_recorded_and_no_longer_asks_is_diverged() -> None:
    def version(full: bool) -> Service:
        shop = Service("shop")

        @shop.on(Placed, waits=[Approved])
        async def take(e: Placed) -> None:
            async with scope("trip"):
                await book("flight")
                if full:
                    await book("hotel")
            await wait(Approved)
            await book("after")

        return shop

    async def story() -> None:
        heard.clear()
        store = memory()
        async with playing(version(True), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(version(False), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await house.until_verdict(process, "stuck")
            error = (await house.only_execution(Status.DIVERGED)).error or ""
            assert "the branch scope trip#0/0 ended, the journal also has scope trip#0/0/book#1" in error

    asyncio.run(story())
    assert heard == ["flight", "hotel"]


def test_a_shield_counts_while_it_is_open() -> None:
    seen = list[int]()

    async def take(e: Placed) -> Paid:
        frame = CURRENT.get()
        assert frame is not None
        async with shield():
            async with shield():
                seen.append(frame.shielded)
            await book("safe")
            seen.append(frame.shielded)
        seen.append(frame.shielded)
        return Paid(e.id)

    assert played(take) == '{"id":"o1","by":""}'
    assert seen == [2, 1, 0]


def test_outside_an_execution_a_shield_does_nothing() -> None:
    async def run() -> str:
        async with shield():
            return "done"

    assert asyncio.run(run()) == "done"

"""`patched`: open executions stay on the side of a change on which they are; new ones take the new side."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.runtime.playhouse import Approved, Clock, Paid, Placed, memory, playing

from onstage import Service, gather, patched, sleep, step, wait
from onstage.errors import InsideStep, UsageError
from onstage.events.receipt import Status
from onstage.stores.memory import MemoryStore

heard: list[str] = []


@step
async def charge(id: str) -> str:
    heard.append(f"charge {id}")
    return "c"


@step
async def check(id: str) -> str:
    heard.append(f"check {id}")
    return "f"


@step
async def ship(id: str) -> str:
    heard.append(f"ship {id}")
    return "s"


def old() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await charge(e.id)
        await wait(Approved)
        await ship(e.id)
        await sleep("1h")
        return Paid(e.id, "old")

    return shop


def new(*, with_patch: bool = True) -> Service:
    shop = Service("shop")

    @shop.on(Placed, waits=[Approved])
    async def take(e: Placed) -> Paid:
        await charge(e.id)
        is_new = patched("check") if with_patch else True
        if is_new:
            await check(e.id)
        await wait(Approved)
        await ship(e.id)
        await sleep("1h")
        return Paid(e.id, "new" if patched("check") else "old")

    return shop


async def lived(store: MemoryStore | Path, clock: Clock) -> None:
    """Two executions under the old code: one has only charged, the other has passed the wait as well."""
    heard.clear()
    async with playing(old(), on=store, clock=clock) as house:
        await house.until_verdict(await house.emit(Placed("a")), "waiting")
        process = await house.emit(Placed("b"))
        await house.until_verdict(process, "waiting")
        await house.emit(Approved("b"), process=process)

        async def sleeps() -> bool:
            return "ship b" in heard and len(await house.executions(Status.WAITING)) == 2

        await house.until(sleeps)


@pytest.mark.parametrize("on_file", [False, True])
def test_old_journals_go_on_under_new_code_and_new_executions_take_the_new_side(on_file: bool, tmp_path: Path) -> None:
    async def story() -> None:
        store, clock = tmp_path / "shop.db" if on_file else memory(), Clock()
        await lived(store, clock)
        assert heard == ["charge a", "charge b", "ship b"]
        async with playing(new(), on=store, clock=clock) as house:
            process = await house.emit(Placed("c"))
            await house.until_verdict(process, "waiting")
            for key in "ac":
                await house.emit(Approved(key), process=await house.stage.process(key))

            async def asleep() -> bool:
                return {"ship a", "ship c"} <= set(heard)

            await house.until(asleep)
            assert heard == ["charge a", "charge b", "ship b", "charge c", "check c", *heard[5:]]
        clock.ahead_ms = 3_700_000
        async with playing(new(), on=store, clock=clock) as house:
            for key in "abc":
                await (await house.stage.process(key)).verdict(timeout=10)
            sides = {event.key: event.data for event in await house.events("shop.paid")}
            assert sides == {key: b'{"id":"%s","by":"%s"}' % (key.encode(), by) for key, by in SIDES.items()}
            assert not [each for each in heard if each in ("check a", "check b")]
            assert [each for each in heard if each.startswith("check")] == ["check c"]

    asyncio.run(story())


SIDES = {"a": b"old", "b": b"old", "c": b"new"}


def test_without_patched_the_same_change_is_a_divergence() -> None:
    async def story() -> None:
        store, clock = memory(), Clock()
        await lived(store, clock)
        clock.ahead_ms = 3_700_000
        async with playing(new(with_patch=False), on=store, clock=clock) as house:

            async def aside() -> bool:
                return len(await house.executions(Status.DIVERGED)) == 1

            await house.until(aside)
            view = await house.only_execution(Status.DIVERGED)
            assert "asks for check#0, which is not in the journal" in (view.error or "")
        assert not [each for each in heard if each.startswith("check")]

    asyncio.run(story())


def test_a_branch_is_on_the_old_side_only_if_it_has_passed_the_place() -> None:
    """The frontier is the branch's own: another branch that is far ahead says nothing about this one."""
    sides = dict[str, bool]()

    def version(changed: bool) -> Service:
        shop = Service("shop")

        async def ahead(id: str) -> None:
            await charge(id)
            if changed:
                sides["ahead"] = patched("one")
            await ship(id)

        async def behind() -> None:
            await wait(Approved)
            if changed:
                sides["behind"] = patched("two")

        @shop.on(Placed, waits=[Approved])
        async def take(e: Placed) -> Paid:
            await gather(ahead(e.id), behind())
            return Paid(e.id)

        return shop

    async def story() -> None:
        store = memory()
        async with playing(version(False), on=store) as house:
            await house.until_verdict(await house.emit(Placed("a")), "waiting")
        async with playing(version(True), on=store) as house:
            process = await house.stage.process("a")
            await house.emit(Approved("a"), process=process)
            await house.until_verdict(process, "dead end")
        assert sides == {"ahead": False, "behind": True}

    asyncio.run(story())


def test_outside_an_execution_the_code_is_new_and_a_name_is_needed() -> None:
    assert patched("check")
    with pytest.raises(UsageError, match="no name"):
        patched("")


def test_a_step_cannot_ask_for_a_side() -> None:
    @step
    async def nosy() -> bool:
        return patched("check")

    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await nosy()

    async def story() -> None:
        async with playing(shop) as house:
            assert InsideStep.__name__ in await house.aside(Placed("a"))

    asyncio.run(story())

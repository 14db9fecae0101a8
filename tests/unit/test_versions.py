"""Code that changes while executions are open: what was stored by an older version is lifted where it is decoded."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, memory, playing

from onstage import Envelope, Reject, Retry, Service, event, step, wait
from onstage.errors import DefinitionError, InvalidEvent
from onstage.versions import upcast


def order_class(version: int) -> type[Any]:
    """The same event in three versions: `amount`, then `cents`, then `cents` and a currency."""
    fields: dict[int, Any] = {1: {"amount": int}, 2: {"cents": int}, 3: {"cents": int, "currency": str}}
    made = dataclass(frozen=True)(type("Ordered", (), {"__annotations__": {"id": str, **fields[version]}}))
    cls = event("shop.ordered", key="id", version=version)(made)
    if version >= 2:
        upcast(cls, 1, 2)(lambda old: {"id": old["id"], "cents": old["amount"] * 100})
    if version >= 3:
        upcast(cls, 2, 3)(lambda old: old | {"currency": "eur"})
    return cls


def fails_on(cls: type[Any]) -> Service:
    shop = Service("shop")

    async def take(e: Any) -> None:
        raise ConnectionError

    shop.on(cls, retry=Retry(1), name="take")(take)
    return shop


def hears(cls: type[Any], heard: list[Any]) -> Service:
    shop = Service("shop")

    async def take(e: Any) -> None:
        heard.append(e)

    shop.on(cls, name="take")(take)
    return shop


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_dead_letter_of_an_older_version_is_lifted_when_it_is_tried_again(before: int) -> None:
    heard: list[Any] = []
    old, new = order_class(before), order_class(3)

    async def story() -> None:
        store = memory()
        given = {1: (5,), 2: (500,), 3: (500, "eur")}[before]
        async with playing(fails_on(old), on=store) as house:
            await house.aside(old("o1", *given))
            execution = (await house.only_execution()).id
        async with playing(hears(new, heard), on=store) as house:
            await house.stage.operate("retry", execution)
            assert (await (await house.stage.process("o1")).verdict(timeout=5)).is_final

    asyncio.run(story())
    assert heard == [new("o1", 500, "eur")]


def test_mail_is_lifted_when_it_is_taken_and_on_every_replay_after() -> None:
    taken: list[Any] = []

    def waits_for(cls: type[Any]) -> Service:
        shop = Service("shop")

        async def take(e: Approved) -> None:
            got = await wait(cls)
            taken.append(got)
            if len(taken) == 1:
                await wait(Ended)

        shop.on(Approved, name="take", waits=[cls, Ended])(take)
        return shop

    old, new = order_class(1), order_class(3)

    async def story() -> None:
        store = memory()
        async with playing(waits_for(old), on=store) as house:
            process = await house.emit(Approved("o1"))
            await house.emit(old("o1", 5), process=process)
            await house.until_verdict(process, "waiting")
            await house.until(lambda: _length(taken, 1))
        async with playing(waits_for(new), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Ended("o1"), process=process)
            await house.until(lambda: _length(taken, 2))

    asyncio.run(story())
    assert taken == [old("o1", 5), new("o1", 500, "eur")]


@event("shop.ended", key="id")
@dataclass(frozen=True)
class Ended:
    id: str


async def _length(things: list[Any], least: int) -> bool:
    return len(things) >= least


def test_an_event_from_outside_says_its_version_and_is_stored_as_the_newest() -> None:
    heard: list[Any] = []
    new = order_class(3)

    async def story() -> None:
        async with playing(hears(new, heard)) as house:
            said = {"schemaversion": "1"}
            old = Envelope(id="a", source="//x", type="shop.ordered", data=b'{"id":"o1","amount":5}', extensions=said)
            await (await house.stage.emit_envelope(old)).verdict(timeout=5)
            (stored,) = await house.events("shop.ordered")
            assert stored.data == b'{"id":"o1","cents":500,"currency":"eur"}'
            for wrong in ("one", "", "9"):
                bad = Envelope(
                    id="b", source="//x", type="shop.ordered", data=b"{}", extensions={"schemaversion": wrong}
                )
                with pytest.raises(InvalidEvent):
                    await house.stage.emit_envelope(bad)

    asyncio.run(story())
    assert heard == [new("o1", 500, "eur")]


# --- steps ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Charge:
    id: str


async def charge_first(amount: int) -> str:
    return f"charge-{amount}"


async def charge_again(amount: str) -> Charge:
    raise AssertionError(f"the step of {amount} is recorded")


def bank(seen: list[Any], version: int, *ways: str) -> Service:
    """Its step's result and arguments change with the version; the handler parks behind it, then rejects."""
    shop = Service("shop")
    made = charge_first if version == 1 else charge_again

    def refund(result: Any, *arguments: Any) -> None:
        seen.append(("undone", result, *arguments))

    made.__qualname__ = "charge"  # an undo is found by its step's name in the module
    charge: Any = step(name="charge", version=version, undo=refund)(made)  # type: ignore[call-overload]
    if "result" in ways:
        upcast(charge, 1, 2)(Charge)
    if "arguments" in ways:
        upcast(charge, 1, 2, part="arguments")(lambda old: [f"{old[0]} eur"])

    @shop.on(Approved, waits=[Ended], retry=Retry(1))
    async def take(e: Approved) -> None:
        seen.append(await charge(5))
        await wait(Ended)
        raise Reject("no")

    return shop


async def charged_then(seen: list[Any], *ways: str) -> str:
    """Play the first version up to its wait, the second from there on; answers where the process stands then."""
    store = memory()
    async with playing(bank(seen, 1), on=store) as house:
        await house.until_verdict(await house.emit(Approved("o1")), "waiting")
    async with playing(bank(seen, 2, *ways), on=store) as house:
        process = await house.stage.process("o1")
        await house.emit(Ended("o1"), process=process)
        await house.until(house.has_nothing_open if len(ways) == 2 else _always)
        verdict = await process.verdict(timeout=2)
        return str(verdict)


async def _always() -> bool:
    return True


def test_a_recorded_result_and_the_arguments_of_an_undo_are_lifted() -> None:
    seen: list[Any] = []
    asyncio.run(charged_then(seen, "result", "arguments"))
    assert seen == ["charge-5", Charge("charge-5"), ("undone", Charge("charge-5"), "5 eur")]


@pytest.mark.parametrize(
    ("ways", "why"),
    [((), "there is no @upcast(charge, 1, 2)"), (("result",), "the arguments of step charge, version 1 cannot become")],
)
def test_what_was_recorded_and_cannot_be_lifted_is_diverged_and_nothing_is_undone(ways: tuple[str], why: str) -> None:
    seen: list[Any] = []
    told = asyncio.run(charged_then(seen, *ways))
    assert told.startswith("stuck: shop.take is diverged")
    assert why in told
    assert [each for each in seen if isinstance(each, tuple)] == []


# --- refusals ---------------------------------------------------------------------------------------------


@step
async def plain(amount: int) -> int:
    return amount


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        (Charge, {}, "neither an event class nor a step"),
        (plain, {}, "step plain has version 1|plain, has version 1"),
        (plain, {"part": "arguments"}, "recorded for an undo only"),
        (Ended, {}, "shop.ended has version 1"),
    ],
)
def test_a_way_that_cannot_be_is_refused_where_it_is_declared(target: Any, options: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        upcast(target, 1, 2, **options)(lambda old: old)


@pytest.mark.parametrize("version", [0, True, "2", 1_000_001])
def test_the_version_of_a_step_is_a_whole_number(version: Any) -> None:
    with pytest.raises(DefinitionError, match="whole number"):
        step(version=version)(charge_first)

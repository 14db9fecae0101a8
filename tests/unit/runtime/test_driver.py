"""What a run comes to: done, retried, set aside, diverged, poisoned; and that no run can stop the node."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, Refused, memory, playing

from onstage import Envelope, Retry, Service, event, step, wait
from onstage.events.receipt import Status


class Odd(BaseException):
    pass


@event("shop.nested", key="id")
@dataclass(frozen=True)
class Nested:
    id: str
    parts: list[Any]


@event("shop.fragile")
@dataclass(frozen=True)
class Fragile:
    id: str

    def __post_init__(self) -> None:
        if self.id == "bad" and MOOD["bad"]:
            raise KeyError(self.id)


MOOD = {"bad": False}


async def raises_odd(e: Placed) -> None:
    raise Odd("odd")


async def returns_rubbish(e: Placed) -> Paid:
    return Paid(object())  # type: ignore[arg-type]


async def returns_no_event(e: Placed) -> Paid:
    return {"id": e.id}  # type: ignore[return-value]


async def returns_too_much(e: Placed) -> Paid:
    return Paid("x" * 1_100_000)


async def returns_half_good(e: Placed) -> Paid:
    return Paid(e.id), Refused(e.id)  # type: ignore[return-value]


async def returns_a_cancellation(e: Placed) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (raises_odd, "Odd: odd"),
        (returns_rubbish, "an object has no JSON encoding"),
        (returns_no_event, "emits dict (no event), which it does not declare"),
        (returns_too_much, "is larger than 1048576"),
        (returns_half_good, "emits shop.refused, which it does not declare"),
        (returns_a_cancellation, "CancelledError"),
    ],
)
def test_whatever_a_handler_comes_to_the_node_goes_on(handler: Callable[..., Any], why: str) -> None:
    shop = Service("shop")
    shop.on(Placed, retry=Retry(1))(handler)

    @shop.on(Approved)
    async def fine(e: Approved) -> Refused:
        return Refused(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            assert why in await house.aside(Placed("o1"))
            assert await house.events("shop.paid") == []
            assert (await house.settled(Approved("o2"))).is_final

    asyncio.run(story())


def test_a_handler_is_tried_again_as_often_as_its_policy_says() -> None:
    shop, tries = Service("shop"), list[int]()

    @shop.on(Placed, retry=Retry(4))
    async def take(e: Placed) -> None:
        tries.append(1)
        raise ConnectionError("down")

    async def story() -> None:
        async with playing(shop) as house:
            why = await house.aside(Placed("o1"))
            assert why.startswith("ConnectionError: down\n  at ")
            assert (await house.only_execution()).attempts == 4 or len(tries) == 4

    asyncio.run(story())
    assert len(tries) == 4


def test_a_handlers_timeout_ends_the_attempt() -> None:
    shop = Service("shop")

    @shop.on(Placed, timeout="20ms", retry=Retry(1))
    async def take(e: Placed) -> None:
        await asyncio.get_running_loop().create_future()

    async def story() -> None:
        async with playing(shop) as house:
            assert "TimeoutError" in await house.aside(Placed("o1"))

    asyncio.run(story())


def test_several_events_and_none_may_be_returned() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> tuple[Paid, Refused] | list[Paid] | None:
        match e.amount:
            case 0:
                return None
            case 1:
                return [Paid(e.id), Paid(e.id), Paid(e.id)]
        return Paid(e.id), Refused(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            for amount in range(3):
                await house.settled(Placed("o1", amount))
            types = [each.type for each in await house.events()]
            assert types.count("shop.paid") == 4
            assert types.count("shop.refused") == 1

    asyncio.run(story())


# --- divergence -------------------------------------------------------------------------------------------


@step
async def charge(amount: int) -> int:
    return amount


@step
async def ship() -> int:
    return 1


def old() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await charge(1)
        await wait(Approved)
        return Paid(e.id)

    return shop


def other_step() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await ship()
        await wait(Approved)
        return Paid(e.id)

    return shop


def other_argument() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await charge(2)
        await wait(Approved)
        return Paid(e.id)

    return shop


def one_step_less() -> Service:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await wait(Approved)
        return Paid(e.id)

    return shop


def nothing_at_all() -> Service:
    shop = Service("shop")

    @shop.on(Placed, waits=[Approved])
    async def take(e: Placed) -> Paid:
        return Paid(e.id)

    return shop


@pytest.mark.parametrize(
    ("changed", "diff"),
    [
        (other_step, ["the code asks for ship#0", "charge#0: stepped with arguments", "not asked again: charge#0"]),
        (other_argument, ["asks for step with arguments", "the journal has charge#0: stepped with arguments"]),
        (one_step_less, ["the handler returned, the journal also has charge#0"]),
        (nothing_at_all, ["the handler returned, the journal also has charge#0, wait#0"]),
    ],
)
def test_changed_code_is_set_aside_with_a_diff_and_the_old_code_resumes_it(
    changed: Callable[[], Service], diff: list[str]
) -> None:
    async def story() -> None:
        store = memory()
        async with playing(old(), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
            before = await house.stored((await house.only_execution()).id)
        async with playing(changed(), on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            verdict = await house.until_verdict(process, "stuck")
            assert verdict.reasons[0].startswith("shop.take is diverged: ")
            after = await house.stored((await house.only_execution(Status.DIVERGED)).id)
            assert after.entries == before.entries  # nothing was touched
            assert all(part in (after.execution.error or "") for part in diff), after.execution.error
            assert "test_driver.py:" in (after.execution.error or "")
            assert house.node.store.statistics()["refused"] == 0
        async with playing(old(), on=store) as house:
            await house.stage.operate("retry", after.execution.id)
            process = await house.stage.process("o1")
            assert (await process.verdict(timeout=5)).is_final
            assert len(await house.events("shop.paid")) == 1

    asyncio.run(story())


def test_a_step_and_a_handler_keep_their_identity_over_a_rename() -> None:
    shop = Service("shop")

    @step(name="charge")
    async def bill(amount: int) -> int:
        return amount

    @shop.on(Placed, was="take")
    async def accept(e: Placed) -> Paid:
        await bill(1)
        await wait(Approved)
        return Paid(e.id)

    async def story() -> None:
        store = memory()
        async with playing(old(), on=store) as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(shop, on=store) as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            assert (await process.verdict(timeout=5)).is_final
            assert len(await house.events("shop.paid")) == 1

    asyncio.run(story())


# --- poison -----------------------------------------------------------------------------------------------


def changed_class(version: int) -> type[Any]:
    @event("shop.placed", key="id", version=version)
    @dataclass(frozen=True)
    class Changed:
        id: int

    return Changed


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (1, "poison: the event cannot be decoded: Expected `int`, got `str`"),
        (2, "there is no @upcast(Changed, 1, 2)"),
    ],
)
def test_an_old_event_that_the_new_class_cannot_read_is_set_aside(version: int, why: str) -> None:
    async def story() -> None:
        store = memory()
        quiet = Service("shop")

        @quiet.on(Placed, name="take")
        async def fails(e: Placed) -> None:
            raise ConnectionError

        async with playing(quiet, on=store) as house:
            await house.aside(Placed("o1"))
            execution = (await house.only_execution()).id
        changed, shop = changed_class(version), Service("shop")
        heard: list[object] = []

        async def take(e: Any) -> None:
            heard.append(e)

        shop.on(changed)(take)
        async with playing(shop, on=store) as house:
            await house.stage.operate("retry", execution)
            process = await house.stage.process("o1")
            verdict = await house.until_verdict(process, "stuck")
            assert why in verdict.reasons[0]
            stored = await house.stored(execution)
            assert stored.event.data == b'{"id":"o1","amount":0}'  # the raw bytes are kept
            await house.settled(changed(7))
        assert len(heard) == 1

    asyncio.run(story())


def test_a_class_whose_own_code_fails_poisons_only_its_event() -> None:
    shop = Service("shop")
    heard: list[str] = []

    @shop.on(Placed)
    async def take(e: Placed) -> Fragile:
        made = Fragile(e.id)
        MOOD["bad"] = True
        return made

    @shop.on(Fragile)
    async def handle(e: Fragile) -> None:
        heard.append(e.id)

    async def story() -> None:
        async with playing(shop) as house:
            assert "poison: the event cannot be decoded: 'bad'" in await house.aside(Placed("bad"))
            await house.settled(Placed("good"))

    try:
        asyncio.run(story())
    finally:
        MOOD["bad"] = False
    assert heard == ["good"]


# --- patterns and gating ----------------------------------------------------------------------------------


def test_a_pattern_handler_gets_envelopes_and_its_outputs_are_new_processes() -> None:
    shop, audit = Service("shop"), Service("audit")
    heard: list[Envelope] = []

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id)

    @audit.on("shop.>", emits=[Refused])
    async def note(e: Envelope) -> Refused | None:
        heard.append(e)
        return Refused("x") if e.type == "shop.paid" else None

    async def story() -> None:
        async with playing(shop, audit) as house:
            process = await house.emit(Placed("o1"))
            await process.verdict(timeout=5)

            async def three() -> bool:
                return len(heard) == 3

            await house.until(three)
            root, paid, refused = await house.events()
            assert root.process == paid.process
            assert refused.process == refused.n

    asyncio.run(story())
    assert (heard[0].source, heard[1].source) == ("//onstage/door", "//onstage/shop")
    assert heard[1].causationid == f"{heard[0].id}/shop.take"
    assert heard[1].subject == "o1"

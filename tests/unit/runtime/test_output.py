"""What a handler emits: declared, small enough, with a key that can be looked up."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, Refused, playing

from onstage import Process, Retry, Service, emit
from onstage.events.envelope import EVENT_BYTES_MAX, KEY_BYTES_MAX


@pytest.mark.parametrize("how", ["emit", "return"])
def test_an_undeclared_emission_is_refused_at_once(how: str) -> None:
    shop = Service("shop")
    attempts: list[str] = []

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        attempts.append(how)
        if how == "emit":
            await emit(Paid(e.id))
        return Paid(e.id)  # type: ignore[return-value]

    async def story() -> str:
        async with playing(shop) as house:
            why = await house.aside(Placed("o1"))
            assert await house.events("shop.paid") == []
            return why

    why = asyncio.run(story())
    assert "UndeclaredEvent: shop.take emits shop.paid, which it does not declare (" in why
    assert "to do: add it to the annotation, or to emits=[...]" in why
    assert attempts == [how]  # no retry cures it


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (Paid("o1", "x" * EVENT_BYTES_MAX), f"is larger than {EVENT_BYTES_MAX}"),
        (Paid("k" * (KEY_BYTES_MAX + 1)), f"the key is longer than {KEY_BYTES_MAX} bytes"),
        (Paid("\N{GRINNING FACE}" * (KEY_BYTES_MAX // 4 + 1)), f"the key is longer than {KEY_BYTES_MAX} bytes"),
    ],
)
def test_an_event_beyond_the_limits_fails_the_attempt_and_nothing_of_it_is_stored(output: Paid, reason: str) -> None:
    shop = Service("shop")

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> tuple[Paid, Paid]:
        return Paid("fine"), output

    async def story() -> None:
        async with playing(shop) as house:
            assert reason in await house.aside(Placed("o1"))
            assert await house.events("shop.paid") == []

    asyncio.run(story())


def test_one_event_or_several_are_emitted_in_their_order() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> list[Paid | Refused] | None:
        return [Paid(e.id, "first"), Refused(e.id), Paid(e.id, "last")] if e.amount else None

    async def story() -> None:
        async with playing(shop, Process("order", starts=Placed, done=Refused)) as house:
            assert (await house.settled(Placed("o0"))).status == "dead end"
            assert (await house.settled(Placed("o1", 1))).status == "completed"
            found = await house.node.store.reader.events()
            assert [event.type for event in found[2:]] == ["shop.paid", "shop.refused", "shop.paid"]

    asyncio.run(story())

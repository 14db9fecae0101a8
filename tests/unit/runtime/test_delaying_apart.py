"""A delayed event waits at its emitter's node; the others have it when it is due, and the observer knows all along."""

import asyncio

from tests.unit.runtime.playhouse import Approved, Placed
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import emit
from onstage.events.delayed import LATER, When
from onstage.runtime.local_ways import LocalWays

HOUR_MS = 3_600_000


def putting_off() -> Play:
    """A play whose shop approves an hour later."""
    play = Play()

    async def review(e: Placed) -> None:
        await emit(Approved(e.id, "shop"), after="1h", expires="1h")

    play.shop.handlers[0].fn = review  # type: ignore[assignment]
    return play


def an_hour_later(troupe: Troupe, hours: int = 1) -> None:
    troupe.clock.ahead_ms += hours * HOUR_MS + 1_000
    for node in troupe.nodes.values():
        node.timers._fire()  # noqa: SLF001  nobody waits for a clock that is moved by hand


def of_type(troupe: Troupe, name: str) -> int:
    return sum(message.subject.endswith(f".{name}") for message in troupe.messages("evt."))


async def until_it_waits(troupe: Troupe, process: str) -> None:
    assert troupe.observatory is not None
    async with asyncio.timeout(10):
        while True:
            verdict = await troupe.observatory.verdict(process, 0.1)
            if verdict is not None and verdict.status == "waiting":
                assert "shop.approved comes at" in verdict.reasons[0]
                return
            await asyncio.sleep(0.01)


def test_another_service_has_it_when_it_is_due() -> None:
    async def story() -> None:
        async with touring(play=putting_off()) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await until_it_waits(troupe, process)
            assert (of_type(troupe, LATER), of_type(troupe, "shop.approved")) == (1, 0)
            an_hour_later(troupe)
            verdict = await troupe.verdict(process)
            assert (verdict.status, verdict.outcome) == ("completed", "shop.paid")
            assert troupe.play.effects == [("charge", "o1"), ("Paid", "o1")]

    asyncio.run(story())


def test_its_expiry_travels_with_it() -> None:
    async def story() -> None:
        async with touring("shop", "post", play=putting_off()) as troupe:
            process = await troupe.emit("shop", Placed("o1"))
            await until_it_waits(troupe, process)
            an_hour_later(troupe)
            await troupe.until(lambda: of_type(troupe, "shop.approved") == 1)
            troupe.clock.ahead_ms += 2 * HOUR_MS
            await troupe.begin("bank")
            verdict = await troupe.verdict(process)
            assert verdict.status == "dead end"
            assert "bank.take skipped it: it expired" in str(verdict)
            assert troupe.play.effects == []

    asyncio.run(story())


def test_one_from_outside_that_another_service_decides_about_waits_there() -> None:
    async def story() -> None:
        async with touring() as troupe:
            route = troupe.nodes["bank"].routes_by_class[Placed]
            data = route.type.encode(Placed("o1"))
            ways, when = LocalWays(troupe.nodes["bank"]), When(after=HOUR_MS)
            await ways.emit(route.type.name, data, id="once", source=None, when=when)
            shop = troupe.nodes["shop"]
            await troupe.until(lambda: bool(shop.open))
            (kept,) = shop.open.values()
            assert kept.reaction is shop.delaying.reaction
            assert of_type(troupe, "shop.placed") == 0
            an_hour_later(troupe)
            await troupe.until(lambda: ("Paid", "o1") in troupe.play.effects)

    asyncio.run(story())

"""What operators did is written down, before it is done."""

import asyncio
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, playing

from onstage import Retry, Service
from onstage.errors import UsageError
from onstage.runtime import audit
from onstage.runtime.audit import OPERATED, Operated, operated_in


def broken_shop() -> Service:
    shop = Service("shop")

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> Paid:
        raise ConnectionError("storm")

    return shop


async def stuck(house: Any) -> int:
    process = await house.emit(Placed("o1"))
    await house.until_verdict(process, "stuck")
    return int((await house.only_execution()).id)


async def rows_of(house: Any) -> list[Operated]:
    async with house.stage.reading() as reader:
        return [row for _, row in operated_in(await reader.notes(OPERATED))]


def test_who_did_what_on_what_and_what_came_of_it() -> None:
    async def story() -> list[Operated]:
        async with playing(broken_shop()) as house:
            execution = await stuck(house)
            await house.stage.operate("drop", execution, by="ada")
            with pytest.raises(UsageError):
                await house.stage.operate("drop", execution, by="bob")
            await house.stage.pause("shop", by="cyd")
            return await rows_of(house)

    dropped, refused, paused = asyncio.run(story())
    assert (dropped.by, dropped.action, dropped.done, dropped.result) == ("ada", "drop", True, "shop.take was dropped")
    assert dropped.target.startswith("execution ")
    assert (refused.by, refused.done) == ("bob", False)
    assert "is dropped" in refused.result
    assert (paused.by, paused.action, paused.target) == ("cyd", "pause", "shop")


def test_what_no_operator_does_is_not_written_down() -> None:
    async def story() -> list[Operated]:
        async with playing(broken_shop()) as house:
            await house.stage.operate("drop", await stuck(house))
            return await rows_of(house)

    assert asyncio.run(story()) == []


def test_the_row_is_appended_before_the_action() -> None:
    async def story() -> tuple[int, int]:
        async with playing(broken_shop()) as house:
            trail, before = audit.AuditTrail(house.node), house.node.store.appended

            async def act() -> str:
                return str(house.node.store.appended)

            return before, int(await trail.of("ada", "retry", "execution 1", act))

    before, when_acting = asyncio.run(story())
    assert when_acting == before + 1


def test_the_oldest_rows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "AUDIT_ROWS_MAX", 5)
    monkeypatch.setattr(audit, "_DROP_EVERY", 1)

    async def story() -> list[str]:
        async with playing(broken_shop()) as house:
            trail = audit.AuditTrail(house.node)

            async def act() -> str:
                return "done"

            for number in range(9):
                await trail.of("ada", "retry", f"execution {number}", act)
            await house.node.settle_window()
            return [row.target for row in await rows_of(house)]

    assert asyncio.run(story()) == [f"execution {number}" for number in range(4, 9)]

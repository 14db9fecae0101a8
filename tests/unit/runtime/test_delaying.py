"""Delayed events on a node."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, playing

from onstage import Service, emit
from onstage.errors import UsageError
from onstage.events.delayed import LATER, When, decode_delayed
from onstage.events.receipt import Status
from onstage.runtime.delaying import LATER_TYPE, Delaying, release, timed
from onstage.runtime.operations import operate
from onstage.runtime.wire import expiry_of


def test_times_are_worked_out_at_the_emission() -> None:
    assert timed(None, b"x", 5) == (None, None, b"x")
    due, expires, extra = timed(When(after=10, lasts=3_000), None, 2_000)
    assert (due, expires) == (2_010, 5_010)
    assert expiry_of(extra) == 5_010
    assert LATER_TYPE.name == LATER
    assert callable(release)


def shop() -> Service:
    service = Service("shop")

    @service.on(Placed, emits=[Paid])
    async def later(e: Placed) -> None:
        await emit(Paid(e.id), after="1h", expires="2h")

    @service.on(Paid)
    async def paid(e: Paid) -> None: ...

    return service


def test_what_is_kept_has_one_open_obligation_and_costs_no_payload_in_memory() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            node, before = house.node, house.node.clock.now_ms()
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
            (kept,) = [each for each in node.open.values() if each.reaction is node.delaying.reaction]
            assert (kept.parked, kept.data, kept.lane) == (True, None, None)
            stored = await node.store.reader.execution(kept.id)
            assert stored is not None
            assert (stored.execution.status, stored.execution.due) == (Status.READY, kept.due)
            said = decode_delayed(stored.event.data)
            assert (said.type, said.key) == ("shop.paid", "o1")
            assert said.due == kept.due
            assert said.due >= before + 3_600_000
            assert said.expires == said.due + 7_200_000
            assert isinstance(node.delaying, Delaying)

    asyncio.run(story())


def test_an_operator_cancels_what_is_kept_and_nothing_else() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            node = house.node
            process = await house.emit(Placed("o1"))
            await house.until_verdict(process, "waiting")
            (kept,) = [each.id for each in node.open.values() if each.reaction is node.delaying.reaction]
            assert await operate(node, "cancel", kept) == "onstage.later will not emit it"
            assert kept not in node.open
            assert (await process.verdict()).status == "dead end"
            (row,) = await node.store.reader.processes()
            assert (row.open, row.digest) == (0, 0)
            with pytest.raises(UsageError, match="keeps no delayed event"):
                await operate(node, "cancel", kept)

    asyncio.run(story())


def test_a_moment_must_say_its_zone() -> None:
    service = Service("shop")
    refused: list[str] = []

    @service.on(Placed, emits=[Paid])
    async def wrong(e: Placed) -> None:
        try:
            await emit(Paid(e.id), at=datetime(2026, 1, 1))  # noqa: DTZ001
        except UsageError as error:
            refused.append(str(error))
        await emit(Paid(e.id), at=datetime(2026, 1, 1, tzinfo=UTC))

    async def story() -> None:
        async with playing(service) as house:
            await house.settled(Placed("o1"))
            assert "time zone" in refused[0]

    asyncio.run(story())

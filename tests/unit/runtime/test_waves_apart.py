"""What a store tells others of an undoing, and is told: on nodes that share a broker in memory."""

import asyncio
import logging

import pytest
from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.shop_undone import WHOLE, undone_shop
from tests.unit.runtime.troupe import Staged, Troupe, touring

from onstage.core.undoing import decode_undoing
from onstage.errors import UsageError
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.wave_mail import WAVE, CancelEdge, EdgeUndone, Letter, OwnerAsked, encode_letter, kind_of
from onstage.runtime.waves_apart import SOUGHT, UNSAID, WavesApart
from onstage.runtime.wire import follows


def apart(troupe: Troupe, name: str) -> WavesApart:
    found = troupe.nodes[name].waves.apart
    assert found is not None
    return found


async def states(troupe: Troupe, name: str) -> list[str]:
    """How far undoings are in one store."""
    return [row.state for row in await troupe.nodes[name].store.reader.waves()]


async def seen_to_be(troupe: Troupe, process: str) -> str:
    """What the observer says at present."""
    assert troupe.observatory is not None
    verdict = await troupe.observatory.verdict(process, 0.0)
    return "" if verdict is None else verdict.status


def kinds(troupe: Troupe) -> list[str]:
    """What stands in the log of what parts have told each other."""
    return [each.headers[WAVE] for each in troupe.messages("ctl.") if WAVE in each.headers]


async def told(troupe: Troupe, name: str, letter: Letter) -> None:
    """Another store says this to the one with this name."""
    await apart(troupe, name).take({WAVE: kind_of(letter)}, encode_letter(letter))
    await troupe.nodes[name].settle_window()


@pytest.mark.parametrize(("amount", "reason"), [(-1, "shop.refused"), (0, "till.take rejected: nothing to pay")])
def test_an_outcome_and_a_rejection_elsewhere_decide(amount: int, reason: str) -> None:
    did: list[str] = []

    async def story() -> None:
        async with touring(play=Staged(*undone_shop(did))) as troupe:
            process = await troupe.emit("stock", Placed("o1", amount))
            assert str(await troupe.verdict(process)) == f"compensated: {reason}"
            for name in ("stock", "till"):
                (row,) = await troupe.nodes[name].store.reader.waves()
                assert (row.version, row.state) == (2, "compensated")
                assert decode_undoing(row.body).reason == reason
                assert await troupe.nodes[name].store.reader.notes(SOUGHT) == []
                assert await troupe.nodes[name].store.reader.notes(UNSAID) == []

    asyncio.run(story())
    assert did == WHOLE


@pytest.mark.parametrize("amount", [-1, 0])
def test_without_undo_nothing_of_it_is_said(amount: int) -> None:
    did: list[str] = []

    async def story() -> str:
        async with touring(play=Staged(*undone_shop(did, undo=False))) as troupe:
            process = await troupe.emit("stock", Placed("o1", amount))
            said = (await troupe.verdict(process)).status
            assert kinds(troupe) == []
            return said

    assert asyncio.run(story()) == ("completed" if amount else "dead end")
    assert did == (["+shelf", "+money"] if amount else ["+shelf", "+money", "-money o1"])


def test_what_follows_from_an_outcome_says_so_and_what_does_not_says_nothing() -> None:
    did: list[str] = []

    async def story() -> None:
        async with touring(play=Staged(*undone_shop(did))) as troupe:
            process = await troupe.emit("stock", Placed("o1", -1))
            await troupe.verdict(process)
            events = {each.type: each for each in await troupe.nodes["till"].store.reader.events()}
            assert follows(events["shop.paid"].extra) == ()
            refused = troupe.nodes["till"].numbers.identity.wire(events["shop.refused"].n)
            assert follows(events["shop.refused"].extra) == (refused,)
            there = {each.type: each for each in await troupe.nodes["stock"].store.reader.events()}
            assert follows(there["shop.refused"].extra) == (refused,)

    asyncio.run(story())


def test_a_cancel_of_what_never_came_is_answered_and_it_never_begins() -> None:
    """The part joins before it has heard of the process: an event of Onstage's own stands for that."""
    did: list[str] = []

    async def story() -> None:
        async with touring("till", play=Staged(*undone_shop(did))) as troupe:
            cancel = CancelEdge("other-1-1", "other-1-2", "till.take", waits=False, by="stock", reason="why", since=5)
            for _ in range(3):
                await told(troupe, "till", cancel)
            reader = troupe.nodes["till"].store.reader
            await troupe.until_durable(lambda: states(troupe, "till"), ["compensated"])
            (view,) = await reader.processes()
            assert view.wire_id == "other-1-1"
            assert [event.type for event in await reader.events()] == ["onstage.undoing"]
            await troupe.until(lambda: kinds(troupe) == ["undone"])
            await told(troupe, "till", cancel)
            assert kinds(troupe) == ["undone"]
            assert len(await reader.notes("forward")) == 1

    asyncio.run(story())
    assert did == []


def test_what_is_said_of_unknown_processes_and_what_is_no_message_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        async with touring("till", play=Staged(*undone_shop([]))) as troupe:
            await told(troupe, "till", EdgeUndone("other-1-1", "other-1-2", "till.take", waits=False))
            await told(troupe, "till", OwnerAsked("other-1-1", "cancel", "why"))
            await apart(troupe, "till").take({WAVE: "cancel"}, b"nothing")
            assert await troupe.nodes["till"].store.reader.waves() == []

    with caplog.at_level(logging.WARNING, "onstage.wave"):
        asyncio.run(story())
    said = [record.message for record in caplog.records if record.name == "onstage.wave"]
    assert [any(words in each for each in said) for words in ("is not known here", "did not begin here", "passed over")]
    assert len(said) == 3


def test_an_operator_has_undone_what_is_complete_and_only_that() -> None:
    did: list[str] = []

    async def story() -> str:
        async with touring(play=Staged(*undone_shop(did))) as troupe:
            process = await troupe.emit("stock", Placed("o1", 10))
            await troupe.until(lambda: did == ["+shelf", "+money"])
            ways = LocalWays(troupe.nodes["stock"])
            with pytest.raises(UsageError, match="has not ended"):
                await ways.control("undo", process)
            await ways.emit("shop.approved", b'{"id":"o1"}', id=None, source=None, process=process)
            assert (await troupe.verdict(process)).status == "completed"
            with pytest.raises(UsageError, match=r"has ended with shop\.approved"):
                await ways.control("cancel", process)
            assert "on its way to stock" in await LocalWays(troupe.nodes["till"]).control("undo", process)
            await troupe.until_durable(lambda: seen_to_be(troupe, process), "compensated")
            return str(await troupe.verdict(process))

    assert asyncio.run(story()) == "compensated: an operator has it undone"
    assert did == WHOLE

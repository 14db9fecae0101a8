"""Residue: given up where a process is declared so, and resolved by hand."""

import asyncio

import pytest
from tests.unit.runtime.playhouse import Placed, memory, playing
from tests.unit.runtime.shop_undone import undone_shop

from onstage.core.undoing import RESOLVED, decode_undoing
from onstage.errors import UsageError
from onstage.runtime.residue import NOTE_CHARS_MAX, resolve


def test_what_is_left_is_resolved_once_and_a_restart_says_the_same() -> None:
    did: list[str] = []

    async def story() -> None:
        store, parts = memory(), undone_shop(did, fails=lambda what: what == "shelf", on_undo_failure="residue")
        async with playing(*parts, on=store) as house:
            process = await house.emit(Placed("o1", -1))
            await house.until_verdict(process, "compensated with residue")
            node, number = house.node, house.node.numbers.identity.local(process.id) or 0
            with pytest.raises(UsageError, match=f"the limit is {NOTE_CHARS_MAX}"):
                await resolve(node, number, note="x" * (NOTE_CHARS_MAX + 1))
            both = await asyncio.gather(
                resolve(node, number, note="put it back", by="ann"), resolve(node, number, note="me too", by="bob")
            )
            assert all(told.startswith(f"the residue of process {process.id} is resolved") for told in both)
            (row,) = await node.store.reader.waves()
            assert (row.version, row.state) == (3, RESOLVED)
            undoing = decode_undoing(row.body)
            assert (undoing.resolved_by, undoing.note) == ("ann", "put it back")
            verdict = await process.verdict()
        async with playing(*parts, on=store) as house:
            again = await (await house.stage.process(process.id)).verdict()
            assert again == verdict
            assert again.status == "compensated"
            assert "by ann: put it back" in again.reasons[1]
            assert (await resolve(house.node, number)).endswith("already")

    asyncio.run(story())
    assert did == ["+shelf", "+money", "-money o1"]


def test_a_process_that_was_not_declared_so_waits_for_an_operator() -> None:
    did: list[str] = []

    async def story() -> None:
        async with playing(*undone_shop(did, fails=lambda what: what == "shelf", spent=True)) as house:
            process = await house.emit(Placed("o1", -1))
            await house.until_verdict(process, "stuck")
            number = house.node.numbers.identity.local(process.id) or 0
            with pytest.raises(UsageError, match=r"still being undone(.|\n)*onstage skip"):
                await resolve(house.node, number)
            with pytest.raises(LookupError, match="there is no process 99"):
                await resolve(house.node, 99)

    asyncio.run(story())

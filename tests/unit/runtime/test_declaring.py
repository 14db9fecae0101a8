"""What a node tells its store."""

import asyncio

from tests.unit.runtime.playhouse import Paid, Placed, Refused, playing

from onstage import Process, Service
from onstage.events.event import event_type
from onstage.runtime.declaring import declaration_of


def shop() -> Service:
    service = Service("shop")

    @service.on(Placed)
    async def take(e: Placed) -> Refused:
        return Refused(e.id)

    return service


def declared(*, undo: bool) -> dict[str, frozenset[str]]:
    async def story() -> dict[str, frozenset[str]]:
        process = Process("order", starts=Placed, done=Paid, failed=Refused, undo=undo)
        async with playing(shop(), process) as house:
            declaration = declaration_of(house.node)
            assert [name for name, _ in declaration.handlers] == ["shop.take", "onstage.later", "onstage.undo"]
            assert {name for name, _ in declaration.types} >= {"onstage.later", "onstage.undo"}
            return dict(declaration.undoing)

    return asyncio.run(story())


def test_only_a_process_that_asks_for_it_is_undone_for_its_outcomes() -> None:
    assert declared(undo=False) == {}
    assert declared(undo=True) == {"order": frozenset({event_type(Refused).name})}

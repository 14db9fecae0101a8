"""Reactions take over what a handler declares; a delivery knows its event."""

from tests.unit.runtime.playhouse import Approved, Paid, Placed

from onstage import Retry, Service
from onstage.core.commit import execution_id
from onstage.core.retry import HANDLER_RETRY
from onstage.runtime.delivery import Delivery, Reaction


def test_a_reaction_takes_over_what_its_handler_declares() -> None:
    shop = Service("shop")

    @shop.on(
        Approved,
        key="by",
        concurrency=3,
        timeout="2s",
        on_failure="park",
        lane="until-wait",
        retry=Retry(2),
        waits=Paid,
    )
    async def take(e: Approved) -> Placed:
        return Placed(e.id)

    take.resolve()
    reaction = Reaction(take, 7, Retry(2))
    assert (reaction.name, reaction.number, reaction.service) == ("shop.take", 7, "shop")
    assert (reaction.key, reaction.concurrency, reaction.timeout_s) == ("by", 3, 2.0)
    assert (reaction.parks, reaction.releases_lane, reaction.gating) == (True, True, True)
    assert (reaction.emits, reaction.waits) == ({Placed}, {Paid})


def test_a_delivery_begins_without_lane_and_time_and_knows_its_event() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None: ...

    delivery = Delivery(execution_id(41, 7), Reaction(take, 7, HANDLER_RETRY), 40, type=None, lane="o1")
    assert delivery.n == 41
    assert (delivery.has_lane, delivery.parked, delivery.due, delivery.waits) == (False, False, None, ())

"""Who gets what: routes and reactions from what is declared and the numbers of a store."""

from tests.unit.runtime.playhouse import Approved, Placed, Refused

from onstage import Envelope, Service, wait
from onstage.contracts.validation import declared
from onstage.ports.store import Opened
from onstage.runtime.routing import Routing, routing_of

shop, bank = Service("shop"), Service("bank")


@shop.on(Placed)
async def review(e: Placed) -> Refused:
    await wait(Approved)
    return Refused(e.id)


@bank.on("shop.>")
async def listen(e: Envelope) -> None: ...


def routed(*hosted: str) -> Routing:
    services = (shop, bank)
    known = declared(services)
    types = {(each.name, each.version): number for number, each in enumerate(known.types, 1)}
    handlers = {"shop.review": 7, "bank.listen": 8}
    return routing_of(known, services, (), hosted, Opened("s", ((1, "i"),), 1, 0, 1, 1, types, handlers, {}))


def names(routing: Routing) -> dict[str, tuple[list[str], list[str]]]:
    return {
        name: ([each.name for each in route.triggers], [each.name for each in route.waiters])
        for name, route in routing.routes.items()
    }


def test_a_type_reaches_those_that_it_starts_and_those_that_wait_for_it() -> None:
    routing = routed("shop", "bank")
    assert names(routing) == {
        "shop.placed": (["shop.review", "bank.listen"], []),
        "shop.refused": (["bank.listen"], []),
        "shop.approved": (["bank.listen"], ["shop.review"]),
    }
    assert {number: reaction.name for number, reaction in routing.reactions.items()} == {
        7: "shop.review",
        8: "bank.listen",
    }


def test_a_service_that_runs_elsewhere_has_no_part() -> None:
    routing = routed("bank")
    assert list(routing.reactions) == [8]
    assert names(routing)["shop.placed"] == (["bank.listen"], [])

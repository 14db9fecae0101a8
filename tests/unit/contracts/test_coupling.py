"""How services hang together."""

from hypothesis import given
from tests.unit.contracts.declarations import app, manifests, process, says

from onstage.contracts.coupling import Coupling, Impact, coupling_of, impact_of
from onstage.contracts.event_graph import EventGraph
from onstage.contracts.manifest import AppManifest

SHOP = app(
    says("shop.review", "placed", "accepted", waits=("approved",)),
    says("boss.look", "placed", "approved", asks=("price",)),
    says("prices.tell", answers="price"),
    says("stock.reserve", "accepted", "reserved"),
    says("stock.count", "reserved", "counted"),
    process("placed", "reserved"),
)


def test_a_service_hears_whose_events_it_handles_or_waits_for() -> None:
    coupling = {each.service: each for each in coupling_of(EventGraph(SHOP))}
    assert list(coupling) == ["boss", "prices", "shop", "stock"]
    assert coupling["shop"] == Coupling(service="shop", hears=("boss",), heard_by=("stock",))
    assert coupling["boss"] == Coupling(service="boss", heard_by=("shop",), asks=("prices",))
    assert coupling["prices"].asked_by == ("boss",)
    assert coupling["stock"].hears == ("shop",), "what it tells itself is no coupling"


@given(manifests())
def test_coupling_is_seen_from_both_sides(manifest: AppManifest) -> None:
    coupling = coupling_of(EventGraph(manifest))
    hears = {(each.service, other) for each in coupling for other in each.hears}
    assert hears == {(other, each.service) for each in coupling for other in each.heard_by}
    assert hears == {
        (reader.service, maker.service)
        for reader in manifest.handlers
        for maker in manifest.handlers
        if reader.service != maker.service and {*reader.triggers, *reader.waits, reader.answers} & set(maker.emits)
    }


def test_a_change_concerns_makers_readers_and_what_follows() -> None:
    graph = EventGraph(SHOP)
    assert impact_of(graph, "placed") == Impact(
        type="placed", readers=("boss", "shop"), downstream=("prices", "stock"), process=("p",)
    )
    assert impact_of(graph, "approved") == Impact(type="approved", makers=("boss",), readers=("shop",))
    assert impact_of(graph, "unknown") == Impact(type="unknown")

"""The play of a tour uses what crosses the border between two stores."""

from onstage.contracts.topology import owner_of
from onstage.contracts.validation import validate
from onstage.testing.tour.repertory import SERVICES, tour_app


def test_it_has_everything_that_tours_are_about() -> None:
    app = tour_app()
    manifest = validate(app.services, app.processes)
    assert tuple(service.name for service in app.services) == SERVICES
    by_name = {handler.name: handler for handler in manifest.handlers}
    assert set(by_name["shop.order"].waits) == {"tour.packed", "tour.allowed"}
    assert by_name["audit.watch"].pattern
    assert not by_name["audit.watch"].gating
    assert by_name["audit.note"].emits == ("tour.noted",)
    (order,) = manifest.processes
    assert owner_of(order, manifest.handlers) == "shop"
    assert order.external == ("tour.allowed",)
    assert tour_app() is app

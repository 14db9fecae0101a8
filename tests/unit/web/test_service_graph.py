from onstage.observe.service_map import OUTSIDE
from onstage.web.service_graph import AROUND_ABOVE, graph_of
from onstage.web.shown import Standing
from onstage.web.shown_around import MapPage, Tallied

STANDING = Standing(store="a.db", kind="whole", running=True, acts=True, now_ms=0)


def edge(source: str, target: str, kind: str, **seen: object) -> Tallied:
    given: dict[str, object] = {
        "count": 3, "failed": 0, "open": 0, "rate_s": 0.5, "p50_ms": 1, "p95_ms": 2, "mark": None,
    }  # fmt: skip
    return Tallied(source=source, target=target, kind=kind, **given | seen)  # type: ignore[arg-type]


def page(services: dict[str, tuple[str, ...]], *edges: Tallied) -> MapPage:
    return MapPage(standing=STANDING, topology="t1", services=services, events=(), edges=edges)


SHOP = page(
    {"shop": ("shop.review",), "mail": ("mail.thank", "mail.log")},
    edge(OUTSIDE, "placed", "emits"),
    edge("placed", "shop.review", "starts", failed=2),
    edge("shop.review", "paid", "emits"),
    edge("paid", "mail.thank", "starts", p95_ms=9),
    edge("paid", "mail.log", "tells", mark="never seen"),
    edge("mail.thank", "thanked", "emits", mark="never seen"),
    edge("thanked", "shop.review", "starts", mark="not declared"),
)


def test_events_between_two_services_are_one_edge() -> None:
    found = {(each.source, each.target): each for each in graph_of(SHOP).edges}
    assert set(found) == {(OUTSIDE, "shop"), ("shop", "mail"), ("mail", "shop")}
    both = found["shop", "mail"]
    assert (both.events, both.count, both.p95_ms, both.mark) == (("paid",), 3, 9, None)
    assert found["mail", "shop"].mark == "not declared"


def test_a_service_shows_what_was_set_aside_at_its_handlers() -> None:
    spots = {spot.name: spot for spot in graph_of(SHOP).nodes}
    assert (spots["shop"].failed, spots["mail"].failed, spots["mail"].handlers) == (2, 0, 2)


def test_around_one_service_only_its_neighbours_are_shown() -> None:
    found = graph_of(SHOP, around="mail")
    assert {spot.name for spot in found.nodes} == {"shop", "mail"}
    assert found.left_out == 1


def test_a_very_large_map_shows_the_neighbourhood_of_the_busiest() -> None:
    many = {f"s{n}": (f"s{n}.h",) for n in range(AROUND_ABOVE + 1)}
    edges = [edge(f"s{n}.h", f"e{n}", "emits") for n in range(3)]
    edges += [edge(f"e{n}", "s9.h", "starts") for n in range(3)]
    found = graph_of(page(many, *edges))
    assert found.around == "s9"
    assert found.left_out == AROUND_ABOVE + 1 - 4
    whole = graph_of(page(many, *edges), whole=True)
    assert (whole.around, whole.left_out, len(whole.nodes)) == (None, 0, AROUND_ABOVE + 1)

from itertools import combinations
from typing import Any

from onstage.web.timeline import Deadline, Drawing, Happening, Run, draw

START = 1_000_000


def run(order: int, service: str = "payment", **changed: Any) -> Run:
    """A run for event number `order` that took 10 ms."""
    begun = START + order * 20
    given: dict[str, Any] = {
        "node": f"x{order}",
        "service": service,
        "handler": "take",
        "of": f"e{order}",
        "order": order,
        "started": begun,
        "ended": begun + 10,
        "tone": "done",
        "title": "take: done",
    }
    return Run(**given | changed)


def event(order: int, by: str | None = None) -> Happening:
    return Happening(node=f"e{order}", order=order, at=START + order * 20 - 5, title=f"e{order}", by=by)


def drawn(runs: list[Run], events: list[Happening], **options: Any) -> Drawing:
    return draw(runs, events, now=START + 60_000, is_open=False, **options)


def test_a_lane_for_each_service_in_the_order_of_their_first_run() -> None:
    found = drawn([run(1, "shop"), run(2, "audit", aside=True), run(3, "payment")], [event(1)])
    assert [lane.name for lane in found.lanes] == ["outside", "shop", "payment", "audit"]
    assert found.height > found.lanes[-1].y + found.lanes[-1].height


def test_bars_of_one_lane_never_overlap() -> None:
    together = [run(order, started=START, ended=START + 100 + order) for order in range(1, 12)]
    bars = drawn(together, [event(order) for order in range(1, 12)]).bars
    boxes = [(bar.x, bar.x + bar.width, bar.y) for bar in bars]
    clashes = [pair for pair in combinations(boxes, 2) if pair[0][2] == pair[1][2] and pair[0][0] < pair[1][1]]
    assert len(boxes) == 11
    assert not [pair for pair in clashes if pair[1][0] < pair[0][1]]


def test_a_line_leads_from_an_event_to_each_run_that_it_started_but_not_to_what_is_aside() -> None:
    found = drawn([run(1), run(1, "audit", node="x1b", aside=True)], [event(1)])
    assert len(found.links) == 1
    assert (found.links[0].x2, found.links[0].y1) == (found.bars[0].x, found.dots[0].y)


def test_an_event_stands_in_the_lane_of_what_emitted_it() -> None:
    found = drawn([run(1), run(2, "mail")], [event(1), event(2, by="x1")])
    assert found.dots[0].y < found.lanes[0].y + found.lanes[0].height
    assert found.dots[1].y == found.bars[0].y + found.bar_height / 2


def test_what_is_open_reaches_until_now_and_the_next_deadline_is_shown() -> None:
    lines = [Deadline("paid", START + 90_000, late=False), Deadline("deadline", START + 9_000_000, late=False)]
    found = draw(
        [run(1, ended=None, tone="waiting", idles=True)], [event(1)], now=START + 60_000, is_open=True, lines=lines
    )
    assert found.now is not None
    assert abs(found.bars[0].x + found.bars[0].width - found.now) < 5
    assert [line.name for line, _ in found.lines] == ["paid"]


def test_a_crowd_is_drawn_low_and_without_words() -> None:
    crowd = [run(order) for order in range(1, 200)]
    found = drawn(crowd, [event(order) for order in range(1, 200)])
    assert {bar.words for bar in found.bars} == {""}
    assert found.bar_height < 10


def test_nothing_at_all_is_drawn_too() -> None:
    assert drawn([], []).bars == ()

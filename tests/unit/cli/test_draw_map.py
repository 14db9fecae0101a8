"""`onstage map`."""

import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onstage.cli.draw_map import tally_of
from onstage.observe.service_map import ServiceMap
from onstage.reading.store_file import looking_at


def drawn(tiny: Any, *arguments: str) -> ServiceMap:
    result = tiny.run("map", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout, type=ServiceMap)


def seen(whole: ServiceMap) -> dict[tuple[str, str], Any]:
    return {(edge.source, edge.target): edge.seen for edge in whole.edges}


def test_the_app_is_drawn_in_each_format(tiny: Any) -> None:
    assert "  take_payment\n    on order-placed\n    waits for order-approved\n" in tiny.run("map").stdout
    assert tiny.run("map", "--format", "mermaid").stdout.startswith("flowchart LR\n")
    assert tiny.run("map", "--format", "dot").stdout.startswith("digraph onstage {\n")
    assert tiny.run("map", "--format", "json").stdout == tiny.run("map", "-o", "json").stdout
    assert set(seen(drawn(tiny)).values()) == {None}


def test_what_the_store_saw_is_counted_and_differences_are_said(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 5), ("bad", -1), ("big", 5000))
    result = tiny.run("map", "--observed")
    assert "2 declared but never seen, 0 seen but not declared" in result.stderr
    counts = seen(drawn(tiny, "--observed"))
    assert counts["outside", "order-placed"].count == 4
    placed = counts["order-placed", "payment.take_payment"]
    assert (placed.count, placed.failed) == (4, 1)
    assert placed.p50_ms is not None
    assert counts["payment.take_payment", "order-paid"].count == 2
    assert counts["order-paid", "mail.thank"].count == 2
    assert counts["order-approved", "payment.take_payment"] is None
    assert counts["outside", "order-approved"] is None


def test_what_is_no_longer_declared_is_marked(tiny: Any) -> None:
    tiny.play(("o1", 5))
    path = tiny.folder / f"{tiny.module}.py"
    other = tiny.folder / "later_app.py"
    other.write_text(path.read_text().replace("async def thank(", "async def greet("))
    text = tiny.run("map", "later_app:app", "--observed").stdout
    assert "  thank\n    on order-paid (1, p50" in text
    assert "[not declared]" in text
    assert "  greet\n    on order-paid [never seen]" in text


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_pages_lose_nothing_and_repeat_nothing(tiny: Any, page: int) -> None:
    tiny.play(*((f"o{number}", 5) for number in range(5)), ("big", 5000))
    with looking_at(tiny.store) as store:
        found = tally_of(store, page).seen()
        ((events,),) = store.connection.execute("SELECT count(*) FROM onstage_event")
        ((executions,),) = store.connection.execute("SELECT count(*) FROM onstage_execution")
    assert sum(each.count for (*_, kind), each in found.items() if kind == "emits") == events == 11
    assert sum(each.count for (*_, kind), each in found.items() if kind == "starts") == executions == 11


def test_events_that_came_for_a_wait_are_counted(tiny: Any) -> None:
    tiny.play(("big", 5000))
    tiny.run("emit", "order-approved", '{"order_id": "big"}', "--wait")
    tiny.play()
    assert seen(drawn(tiny, "--observed"))["order-approved", "payment.take_payment"].count == 1


def test_memory_does_not_grow_with_the_store(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", 5))

    def peak(rows: int) -> int:
        with looking_at(tiny.store) as store:
            sizes = {"map_events": rows, "map_executions": rows, "map_mail": 0}
            pages = Pages(store, sizes)
            tracemalloc.start()
            try:
                tally_of(pages, 100)  # type: ignore[arg-type]
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    peak(100)
    assert peak(80_000) < 1.2 * peak(10_000)


class Pages:
    """A store that has so many rows of each kind, of which it makes a page when it is asked for one."""

    def __init__(self, store: Any, sizes: dict[str, int]) -> None:
        self.store, self.sizes = store, sizes

    def rows(self, name: str, *, limit: int, after: int = 0, **place: int) -> list[tuple[Any, ...]]:
        numbers = range(after + 1, min(after + limit, self.sizes[name]) + 1)
        if name == "map_events":
            return [(n, f"type-{n % 7}", None) for n in numbers]
        return [(n, f"type-{n % 7}", "a.b", 6, n % 1000) for n in numbers]


def test_a_part_of_the_map_can_be_drawn(tiny: Any) -> None:
    assert "take_payment" not in tiny.run("map", "--type", "order-approved", "-s", "mail").stdout
    assert drawn(tiny, "-s", "mail").events == ("order-paid",)
    assert drawn(tiny, "--type", "order-approved").events == ("order-approved",)
    assert tiny.run("map", "-s", "nobody").exit_code == 2


def test_a_manifest_is_drawn_without_its_code(tiny: Any, tmp_path: Path) -> None:
    tiny.run("check", "--save", str(tmp_path / "shop.json"))
    text = tiny.run("map").stdout
    (tiny.folder / f"{tiny.module}.py").unlink()
    assert tiny.run("map", "--manifest", str(tmp_path / "shop.json")).stdout == text

"""The list of processes."""

from typing import Any


def test_the_newest_come_first_page_by_page(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000), ("o3", -1))
    client, keys, after = ui(), [], None
    for _ in range(3):
        page = client.get("/api/v1/processes", params={"limit": 1, **({"after": after} if after else {})}).json()
        keys += [row["key"] for row in page["rows"]]
        after = page["next"]
    assert keys == ["o3", "o2", "o1"]
    assert after is None


def test_a_verdict_is_a_filter(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5), ("o2", 2000), ("o3", -1))
    for verdict, key in (("completed", "o1"), ("waiting", "o2"), ("stuck", "o3")):
        rows = ui().get("/api/v1/processes", params={"verdict": verdict}).json()["rows"]
        assert [row["key"] for row in rows] == [key]

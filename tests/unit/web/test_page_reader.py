"""A reader for the length of one page answers what the reader of the file answers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from onstage.events.receipt import Status
from onstage.reading.store_file import looking_at
from onstage.stores.sqlite.reader import SqliteReader
from onstage.web import page_reader
from onstage.web.page_reader import PageReader

ASIDE = (Status.PARKED, Status.DIVERGED)


async def look(tiny: Any) -> list[tuple[Any, Any]]:
    with looking_at(Path(tiny.store)) as store:
        plain, paged = SqliteReader(store.connection), PageReader(store.connection)
        views = await plain.executions(statuses=range(Status.DONE))
        asked = [(view.id, ASIDE, field) for view in views for field in (None, "order_id")]
        asked += [(view.id, ASIDE[1:], None) for view in views]
        found: list[tuple[Any, Any]] = [(await plain.manifest(), await paged.manifest())]
        for number, statuses, field in asked:
            one = await plain.ahead(number, statuses=statuses, field=field)
            found.append((one, await paged.ahead(number, statuses=statuses, field=field)))
    return found


@pytest.mark.parametrize("most", [page_reader.ASIDE_MAX, 0])
def test_what_stands_ahead_is_the_same(tiny: Any, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(page_reader, "ASIDE_MAX", most)
    tiny.play(("o1", -1), ("o2", -1), ("o3", 5))
    tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 5}')
    tiny.play(("o4", 5))
    found = asyncio.run(look(tiny))
    assert all(plain == paged for plain, paged in found)
    assert any(plain is not None for plain, _ in found[1:]), "nothing stood ahead of anything"


def test_who_queues_behind_a_dead_letter_is_found_among_the_stuck(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", -1))
    tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 5}')
    rows = ui().get("/api/v1/processes", params={"verdict": "stuck"}).json()["rows"]
    assert len(rows) == 2
    assert "behind a dead letter" in rows[0]["now"]

"""The store behind the UI."""

from pathlib import Path
from typing import Any

import pytest

from onstage.reading.failure import Failure
from onstage.reading.store_file import StoreFile
from onstage.web import source as module
from onstage.web.source import Source


def test_a_store_that_is_not_there_yet_is_opened_when_it_is(tiny: Any, ui: Any) -> None:
    client = ui()
    answer = client.get("/api/v1/attention")
    assert answer.status_code == 503
    assert "there is no store" in answer.json()["error"]
    tiny.play(("o1", 5))
    assert client.get("/api/v1/attention").status_code == 200


def test_what_takes_too_long_is_given_up(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.play(("o1", 5))
    monkeypatch.setattr(module, "QUERY_S_MAX", -1.0)

    async def endless(store: StoreFile) -> None:
        rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        store.connection.execute(rows).fetchall()

    source = Source(Path(tiny.store))
    with pytest.raises(Failure, match="took more than"):
        source.read_here(endless)
    source.close()

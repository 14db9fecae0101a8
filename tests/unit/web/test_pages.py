from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.web.conftest import Opening

PAGES = ["/", "/processes", "/map", "/events", "/services", "/audit"]


class Ids(HTMLParser):
    """The ids of a page, and what its labels and descriptions refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.named: set[str] = set()
        self.feed(text)

    def ids_of(self, prefix: str) -> list[str]:
        """What stands behind this beginning of an id."""
        return [each.removeprefix(prefix) for each in self.ids if each.startswith(prefix)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.named |= {given[name] or "" for name in ("for", "aria-labelledby") if name in given}


def shown(client: TestClient, path: str) -> str:
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 200, answer.text[:400]
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


@pytest.mark.parametrize("path", PAGES)
def test_every_view_is_a_page_of_its_own(tiny: Any, ui: Opening, path: str) -> None:
    tiny.play(("o1", 5), ("o2", 2000), ("o3", -1))
    text = shown(ui(), path)
    found = Ids(text)
    assert 'aria-current="page"' in text
    assert len(found.ids) == len(set(found.ids)), "an id occurs twice"
    assert found.named <= set(found.ids)


def test_a_process_says_what_happened_and_what_failed(tiny: Any, ui: Opening) -> None:
    tiny.play(("o1", 5), ("o3", -1))
    well, stuck = (shown(ui(), f"/processes/{key}") for key in ("o1", "o3"))
    assert "payment.take_payment" in well
    assert "step charge" in shown(ui(), "/processes/o1?execution=" + Ids(well).ids_of("bar-x")[0])
    assert "a negative amount" in stuck
    assert "is-stuck" in stuck
    assert "is-stuck" not in well


def test_a_store_that_is_not_there_is_said_on_a_page(ui: Opening) -> None:
    answer = ui().get("/")
    assert answer.status_code == 503
    assert "The store cannot be read" in answer.text


def test_what_is_not_there_is_said_on_a_page(tiny: Any, ui: Opening) -> None:
    tiny.play(("o1", 5))
    answer = ui().get("/processes/nobody")
    assert answer.status_code == 404
    assert "there is no process with key or id nobody" in answer.text
    assert ui().get("/processes/o1?after=x").status_code == 400


def test_the_search_box_leads_to_the_process_or_to_the_list(tiny: Any, ui: Opening) -> None:
    tiny.play(("o1", 5), ("o2", 5))
    assert "/processes/" in ui().get("/search?q=o1").headers["location"]
    answer = ui().get("/search?q=nobody")
    assert (answer.status_code, answer.headers["location"]) == (303, "/processes?q=nobody")


def test_the_files_of_the_pages_are_served_and_asked_about(ui: Opening) -> None:
    answer = ui().get("/static/onstage.js")
    assert answer.status_code == 200
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"
    assert ui().get("/static/../pages.py").status_code == 404

"""Every view in light and dark: nothing complains, nothing is cut, anybody can read it."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.house import House, Look

from onstage.web.links import KEYS

AXE = (Path(__file__).parent / "vendor/axe-core/axe.min.js").read_text()
VIEWS = {
    "attention": "/",
    "processes": "/processes",
    "processes, one verdict": "/processes?verdict=stuck",
    "processes, none": "/processes?q=nobody-at-all",
    "process, stuck": "/processes/seat-20",
    "process, waiting": "/processes/party-1",
    "process, completed": "/processes/seat-1",
    "process, an event": "/processes/seat-1?event={event}",
    "process, failures": "/processes/seat-20?failures=1",
    "execution": "/executions/{execution}",
    "map": "/map",
    "events": "/events",
    "event type": "/events/tickets-ordered",
    "services": "/services",
    "audit": "/audit",
}
GRAVE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


def address(house: House, path: str) -> str:
    """The address of a view, with a number that this house has."""
    page = house.ask("/api/v1/processes/seat-20")
    return house.url + path.format(event=page["events"][0]["n"], execution=page["executions"][-1]["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_whole(house: House, look: Look, view: str, scheme: str) -> None:
    page = look(address(house, VIEWS[view]), scheme=scheme)
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator("nav [aria-current=page]")).to_have_count(1)
    page.evaluate(AXE)
    assert page.evaluate(GRAVE) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"
    page.set_viewport_size({"width": 760, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than a small window"


@pytest.mark.parametrize("view", ["attention", "processes", "process, stuck", "map"])
def test_light_is_light_and_dark_is_dark(house: House, look: Look, view: str) -> None:
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(", "))

    assert brightness(look(address(house, VIEWS[view]), scheme="light")) > 700
    assert brightness(look(address(house, VIEWS[view]), scheme="dark")) < 100


def test_the_chosen_look_outlives_the_page(house: House, look: Look) -> None:
    page = look(house.url)
    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()
    page.goto(f"{house.url}/processes")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Theme: dark").click()
    page.goto(f"{house.url}/?theme=light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_nothing_inline_is_allowed_to_run(house: House, look: Look) -> None:
    page = look(house.url)
    policy = page.request.get(house.url).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy


def test_times_are_told_twice(house: House, look: Look) -> None:
    time = look(f"{house.url}/processes").locator("tbody time").first
    expect(time).to_contain_text("ago")
    assert "UTC" in (time.get_attribute("title") or "")


def test_the_help_lists_what_the_keyboard_does(house: House, look: Look) -> None:
    page = look(house.url)
    page.get_by_role("button", name="Keyboard (?)").click()
    expect(page.locator("dialog#keys dt")).to_have_count(len(KEYS))


def test_a_process_shows_the_same_in_all_three_panes(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes/seat-20")
    flow = page.locator("#flow a[data-node^=x]")
    bars = page.locator("#timeline a[data-node^=x]")
    expect(bars).to_have_count(flow.count())
    expect(page.locator("#details")).to_contain_text("CardReaderOffline")
    flow.first.click()
    expect(page.locator("#details h2")).to_have_text("box_office.hold")
    same = flow.first.get_attribute("data-node") or ""
    expect(page.locator("#timeline a[aria-current]")).to_have_attribute("data-node", same)
    assert "execution=" in page.url
    page.locator("#timeline a[data-node^=e]").first.click()
    expect(page.locator("#details h2")).to_have_text("tickets-ordered")
    expect(page.locator("#details")).to_contain_text('"seats": 2')
    page.go_back()
    expect(page.locator("#details h2")).to_have_text("box_office.hold")


def test_what_has_not_come_is_shown_grey_with_who_waits_for_it(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes/party-1")
    expect(page.locator("#flow .missing").first).to_contain_text("party-approved")
    expect(page.locator("#head")).to_contain_text("waits for party-approved")
    expect(page.locator(".timeline .bar.waiting")).to_have_count(1)


def test_the_map_has_every_service_and_keeps_its_places(house: House, look: Look) -> None:
    page = look(f"{house.url}/map")
    names = page.locator("#map .node")
    expect(names).to_have_count(5)
    places = json.dumps(boxes(page))
    page.reload()
    expect(names).to_have_count(5)
    assert json.dumps(boxes(page)) == places
    expect(page.locator("#map .node.bad")).to_have_attribute("data-name", "payment")


def boxes(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate(
        "[...document.querySelectorAll('#map .node rect')].map((box) => [box.getAttribute('x'), box.getAttribute('y')])"
    )
    return found


def test_a_service_on_the_map_leads_to_what_is_around_it(house: House, look: Look) -> None:
    page = look(f"{house.url}/map")
    page.locator("#map a", has_text="printing").click()
    page.wait_for_url("**service=printing*")
    expect(page.locator("#map .node")).to_have_count(3)
    page.get_by_role("link", name="The whole map").click()
    expect(page.locator("#map .node")).to_have_count(5)

"""Take the pictures of the docs anew: `python -m tests.browser.screenshots`. They are of the theatre of the tests."""

import os
import tempfile
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright
from tests.browser import theatre
from tests.browser.house import find_chromium, opened

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/images/ui"
PATHS = (f"{ROOT}/", f"{Path(os.__file__).parent}/")
SIZE = {"width": 1240, "height": 720}
PICTURES = {
    "attention": ("/", "light"),
    "processes": ("/processes", "dark"),
    "process": ("/processes/seat-20", "light"),
    "waiting": ("/processes/party-1", "dark"),
    "map": ("/map", "light"),
    "execution": ("/executions/{execution}", "dark"),
    "event-type": ("/events/tickets-ordered", "light"),
    "services": ("/services", "dark"),
    "audit": ("/audit", "light"),
}


def main() -> None:
    """Open the theatre, let somebody act, and look at each view once."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = opened(Path(folder))
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            house.emit(theatre.TicketsOrdered("seat-30", 4, "offline"))
            house.settled(3)
            third = house.ask("/api/v1/processes/seat-30")["executions"][-1]["id"]
            stuck = house.ask("/api/v1/processes/seat-20")["executions"][-1]["id"]
            act(browser.new_page(), house.url, third)
            FOLDER.mkdir(parents=True, exist_ok=True)
            for name, (path, scheme) in PICTURES.items():
                page = browser.new_page(viewport=SIZE, color_scheme=scheme)
                page.route(lambda url: "/live" not in url and "/static/" not in url, anywhere)
                page.goto(house.url + path.format(execution=stuck))
                page.wait_for_selector("#live[data-state=on]")
                page.screenshot(path=FOLDER / f"{name}.png")
                page.unroute_all(behavior="wait")
                page.close()
        finally:
            browser.close()
            house.close()


def anywhere(route: Route) -> None:
    """The pictures do not say where they were taken."""
    answer = route.fetch()
    told = answer.text()
    for path in PATHS:
        told = told.replace(path, "")
    route.fulfill(response=answer, body=told)


def act(page: Page, url: str, execution: int) -> None:
    """Drop what hangs, as an operator would."""
    page.goto(f"{url}/executions/{execution}")
    page.get_by_role("button", name="Drop").click()
    page.locator("dialog#ask").get_by_role("button", name="Drop").click()
    page.wait_for_selector("#told .notice")


if __name__ == "__main__":
    main()

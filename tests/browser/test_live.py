"""What happens is seen without asking again, unless nobody looks."""

from playwright.sync_api import expect
from tests.browser import theatre
from tests.browser.house import House, Look


def test_a_running_process_moves_on_before_ones_eyes(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/processes/party-1")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    expect(page.locator("#head .standing")).to_have_text("waiting")
    page.evaluate("window.sameDocument = true")
    busy_house.emit(theatre.PartyApproved("party-1", "the manager"))
    expect(page.locator("#head .standing")).to_have_text("completed")
    expect(page.locator("#flow")).to_contain_text("tickets-printed")
    assert page.evaluate("window.sameDocument"), "it was loaded anew"


def test_a_list_gets_the_new_ones_and_keeps_the_rest_in_place(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/processes")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.evaluate("document.querySelector('#list tbody tr').dataset.seen = '1'")
    first = page.locator("#list tbody tr").first.get_attribute("id")
    busy_house.emit(theatre.TicketsOrdered("seat-99", 1))
    expect(page.locator("#list tbody tr").first).to_contain_text("seat-99")
    expect(page.locator(f"#list tr#{first} + tr, #list tr + tr#{first}").first).to_be_visible()


def test_the_first_page_says_when_something_needs_somebody(busy_house: House, look: Look) -> None:
    page = look(busy_house.url)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    count = next(
        need["count"] for need in busy_house.ask("/api/v1/attention")["needs"] if need["kind"] == "dead letter"
    )
    expect(page.locator("#needs li", has_text="CardReaderOffline")).to_contain_text(f"{count} times")
    busy_house.stuck("seat-22")
    expect(page.locator("#needs li", has_text="CardReaderOffline")).to_contain_text(f"{count + 1} times")


def test_paused_means_paused_and_going_on_catches_up(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/processes")
    asked: list[str] = []
    page.get_by_role("button", name="Live").click()
    expect(page.locator("#live")).to_have_text("Paused")
    page.on("request", lambda request: asked.append(request.url))
    busy_house.emit(theatre.TicketsOrdered("seat-98", 1))
    busy_house.ask("/api/v1/processes?q=seat-98")
    assert "seat-98" not in page.locator("#list").inner_text()
    assert asked == []
    page.get_by_role("button", name="Paused").click()
    expect(page.locator("#list")).to_contain_text("seat-98")


def test_a_hidden_page_asks_nothing(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/processes")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    asked: list[str] = []
    hide = """(is) => {
        Object.defineProperty(document, "hidden", {value: is, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, arg=True)
    page.on("request", lambda request: asked.append(request.url))
    busy_house.emit(theatre.TicketsOrdered("seat-97", 1))
    busy_house.ask("/api/v1/processes?q=seat-97")
    assert asked == []
    page.evaluate(hide, arg=False)
    expect(page.locator("#list")).to_contain_text("seat-97")


def test_focus_stays_where_it_is_while_the_page_changes(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/processes")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.keyboard.press("j")
    held = page.evaluate("document.activeElement.textContent")
    busy_house.emit(theatre.TicketsOrdered("seat-96", 1))
    expect(page.locator("#list")).to_contain_text("seat-96")
    assert page.evaluate("document.activeElement.textContent") == held

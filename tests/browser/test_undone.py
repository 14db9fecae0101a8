"""A process is undone from the browser: what would be is shown first, how far it is meanwhile, what is left then."""

from playwright.sync_api import Page, expect
from tests.browser import theatre
from tests.browser.house import House, Look


def completed(house: House, look: Look, key: str, card: str = "visa") -> Page:
    """The page of an order that was printed."""
    house.emit(theatre.TicketsOrdered(key, 2, card))
    page = look(f"{house.url}/processes/{key}")
    expect(page.locator("#head .standing")).to_have_text("completed")
    return page


def decided(page: Page, words: str) -> None:
    page.locator("#wave").get_by_role("button", name=words).click()
    page.locator("dialog#ask").get_by_role("button", name=words).click()


def test_what_would_be_undone_is_shown_in_its_order_and_left(busy_house: House, look: Look) -> None:
    page = completed(busy_house, look, "plan-1")
    page.get_by_role("link", name="Undo …").click()
    rows = page.locator("#wave tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("put_to_paper")
    expect(rows.nth(1)).to_contain_text("take_payment")
    expect(page.locator("#wave")).to_contain_text("2 steps in 2 rounds")
    page.get_by_role("link", name="Leave it").click()
    expect(page.locator("#wave table")).to_have_count(0)
    assert busy_house.ask("/api/v1/processes/plan-1")["head"]["verdict"] == "completed"


def test_a_completed_process_is_undone_once_somebody_is_sure(busy_house: House, look: Look) -> None:
    page = completed(busy_house, look, "undo-1")
    page.get_by_role("link", name="Undo …").click()
    decided(page, "Undo all of it")
    expect(page.locator("#head .standing")).to_have_text("compensated")
    expect(page.locator("#wave")).to_contain_text("2 of 2 undone")
    expect(page.locator("#wave tbody tr", has_text="undone")).to_have_count(2)
    rows = busy_house.ask("/api/v1/audit")["rows"]
    assert (rows[0]["action"], rows[0]["done"]) == ("undo", True)
    assert rows[0]["by"].startswith("web UI at ")
    page.goto(f"{busy_house.url}/processes?verdict=compensated")
    expect(page.get_by_role("link", name="undo-1")).to_be_visible()


def test_a_party_that_waits_is_cancelled_after_a_look(busy_house: House, look: Look) -> None:
    busy_house.emit(theatre.TicketsOrdered("cancel-1", 40))
    page = look(f"{busy_house.url}/processes/cancel-1")
    page.get_by_role("link", name="Cancel …").click()
    expect(page.locator("#wave")).to_contain_text("Nothing that was done here has an undo")
    decided(page, "Cancel the process")
    expect(page.locator("#head .standing")).to_have_text("compensated")
    assert busy_house.ask("/api/v1/audit")["rows"][0]["action"] == "cancel"


def test_an_undo_that_waits_is_skipped_and_the_rest_proceeds(busy_house: House, look: Look) -> None:
    page = completed(busy_house, look, "skip-1", "slow")
    page.get_by_role("link", name="Undo …").click()
    decided(page, "Undo all of it")
    expect(page.locator("#head .standing")).to_have_text("compensating")
    row = page.locator("#wave tbody tr", has_text="take_payment")
    expect(row).to_contain_text("retrying")
    row.get_by_role("button", name="Skip").click()
    page.locator("dialog#ask").get_by_role("button", name="Skip").click()
    expect(page.locator("#head .standing")).to_have_text("compensated")
    assert busy_house.ask("/api/v1/audit")["rows"][0]["action"] == "skip"


def test_residue_needs_somebody_until_it_is_resolved(own_house: House, look: Look) -> None:
    page = completed(own_house, look, "lost-1", "lost")
    page.get_by_role("link", name="Undo …").click()
    decided(page, "Undo all of it")
    expect(page.locator("#head .standing")).to_have_text("stuck")
    page.locator("#wave").get_by_role("button", name="Drop").click()
    page.locator("dialog#ask").get_by_role("button", name="Drop").click()
    expect(page.locator("#head .standing")).to_have_text("compensated with residue")
    page.goto(own_house.url)
    need = page.locator("#needs li", has_text="residue")
    expect(need).to_contain_text("take_payment")
    expect(need.get_by_role("button", name="Resolve")).to_be_visible()
    need.get_by_role("link", name="Look").click()
    page.locator("#wave").get_by_label("How it was mended").fill("cash at the till")
    decided(page, "Resolve")
    expect(page.locator("#wave")).to_contain_text("cash at the till")
    page.goto(own_house.url)
    expect(need).to_have_count(0)
    page.goto(f"{own_house.url}/processes/lost-1")
    expect(page.locator("#wave")).to_contain_text("cash at the till")
    expect(page.locator("#head .standing")).to_have_text("compensated")


def test_a_step_that_is_stuck_counts_as_done_with_what_somebody_writes(busy_house: House, look: Look) -> None:
    busy_house.stuck("by-hand-1")
    page = look(f"{busy_house.url}/processes/by-hand-1")
    details = page.locator("#details")
    details.get_by_label("Result of charge#0 as JSON").fill('"paid in cash"')
    details.get_by_role("button", name="Skip").click()
    page.locator("dialog#ask").get_by_role("button", name="Skip").click()
    expect(page.locator("#head .standing")).to_have_text("completed")
    found = busy_house.ask("/api/v1/processes/by-hand-1")
    assert any("paid in cash" in event["data"] for event in found["events"])


def test_it_can_be_read_in_the_dark(busy_house: House, look: Look) -> None:
    completed(busy_house, look, "dark-1", "slow")
    page = look(f"{busy_house.url}/processes/dark-1?plan=1", scheme="dark")
    decided(page, "Undo all of it")
    expect(page.locator("#wave tbody tr", has_text="retrying")).to_have_count(1)
    wide = page.locator("#wave .panel").evaluate("panel => panel.scrollWidth <= panel.clientWidth + 1")
    assert wide, "nothing is cut"

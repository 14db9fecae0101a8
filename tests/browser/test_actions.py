"""Every action does what its button says, asks first where it cannot be taken back, and is written down."""

import json

from playwright.sync_api import Page, Route, expect
from tests.browser import theatre
from tests.browser.house import House, Look


def sure(page: Page, button: str) -> None:
    """Press a button that asks, and say yes."""
    page.get_by_role("main").get_by_role("button", name=button, exact=True).first.click()
    page.locator("dialog#ask").get_by_role("button", name=button).click()


def written_down(house: House) -> list[str]:
    return [row["action"] for row in house.ask("/api/v1/audit")["rows"]]


def targets(house: House) -> list[str]:
    return [row["target"] for row in house.ask("/api/v1/audit")["rows"]]


def test_all_of_one_trouble_are_retried_at_once(own_house: House, look: Look) -> None:
    own_house.mended.write_text("somebody plugged it in")
    page = look(own_house.url)
    page.get_by_role("button", name="Retry 2").click()
    expect(page.locator("#needs li", has_text="CardReaderOffline")).to_have_count(0)
    expect(page.locator("#told")).not_to_be_empty()
    assert "retry" in written_down(own_house)


def test_a_button_that_is_pressed_before_the_page_is_ready_is_not_lost(busy_house: House, look: Look) -> None:
    execution = busy_house.stuck("early-1")
    page, held = look(), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/static/onstage.js", hold)
    page.goto(f"{busy_house.url}/processes/early-1", wait_until="commit")
    page.locator("#details").get_by_role("button", name="Retry").click(no_wait_after=True)
    held[0].continue_()
    expect(page.locator("#told")).not_to_be_empty()
    assert str(execution) in targets(busy_house)[0]


def test_what_fails_again_comes_back(busy_house: House, look: Look) -> None:
    busy_house.stuck("again-1")
    page = look(f"{busy_house.url}/processes/again-1")
    page.locator("#details").get_by_role("button", name="Retry").click()
    expect(page.locator("#told")).not_to_be_empty()
    expect(page.locator("#head .standing")).to_have_text("stuck")


def test_dropping_asks_first(busy_house: House, look: Look) -> None:
    execution = busy_house.stuck("drop-1")
    page = look(f"{busy_house.url}/processes/drop-1")
    page.locator("#details").get_by_role("button", name="Drop").click()
    expect(page.locator("dialog#ask")).to_contain_text("never done")
    page.get_by_role("button", name="Leave it").click()
    expect(page.locator("dialog#ask")).to_be_hidden()
    assert str(execution) not in " ".join(targets(busy_house))
    sure(page, "Drop")
    expect(page.locator("#flow")).to_contain_text("dropped")
    assert str(execution) in targets(busy_house)[0]


def test_a_waiting_execution_is_cancelled(busy_house: House, look: Look) -> None:
    busy_house.emit(theatre.TicketsOrdered("party-2", 40))
    page = look(f"{busy_house.url}/processes/party-2")
    sure(page, "Cancel")
    expect(page.locator("#flow")).to_contain_text("cancelled")


def test_a_handler_is_paused_and_goes_on(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/services")
    row = page.locator("tr", has_text="printing.put_to_paper")
    row.get_by_role("button", name="Pause").click()
    page.locator("dialog#ask").get_by_role("button", name="Pause").click()
    expect(row.get_by_role("button", name="Resume")).to_be_visible()
    page.goto(busy_house.url)
    paused = page.locator("#needs li", has_text="paused")
    paused.get_by_role("button", name="Resume").click()
    expect(paused).to_have_count(0)
    assert written_down(busy_house)[:2] == ["resume", "pause"]


def test_the_missing_event_is_emitted_from_where_it_is_missed(busy_house: House, look: Look) -> None:
    busy_house.emit(theatre.TicketsOrdered("party-3", 40))
    page = look(f"{busy_house.url}/processes/party-3")
    page.locator("#details").get_by_role("link", name="Emit it").click()
    page.locator("#emit-data").fill('{"order_id": "?", "by": "the manager"}')
    page.get_by_label("order_id").fill("party-3")
    assert json.loads(page.locator("#emit-data").input_value()) == {"order_id": "party-3", "by": "the manager"}
    page.get_by_role("button", name="Emit").click()
    expect(page.locator("#told")).not_to_be_empty()
    page.goto(f"{busy_house.url}/processes/party-3")
    expect(page.locator("#head .standing")).to_have_text("completed")
    assert "emit" in written_down(busy_house)


def test_what_is_no_event_is_refused_in_words(busy_house: House, look: Look) -> None:
    page = look(f"{busy_house.url}/events/party-approved")
    page.locator("#emit-data").fill('{"order_id": 7}')
    page.get_by_role("button", name="Emit").click()
    expect(page.locator("#told .bad")).to_be_visible()
    complained = look.complaints  # type: ignore[attr-defined]
    assert all("400" in each or "409" in each or "422" in each for each in complained)
    complained.clear()


def test_a_history_is_copied_as_a_test(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes/seat-1", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as test").click()
    expect(page.locator("#told")).to_contain_text("clipboard")
    text = page.evaluate("navigator.clipboard.readText()")
    assert "Sim" in text
    compile(text, "copied.py", "exec")


def test_a_process_is_exported(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes/seat-1")
    for name, begins in (("JSON", "{"), ("Mermaid", "flowchart")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.path().read_text().startswith(begins)


def test_no_other_site_can_act(busy_house: House, look: Look) -> None:
    execution = busy_house.stuck("foreign-1")
    foreign = busy_house.serve().replace("127.0.0.1", "localhost")  # another origin, the same site
    page = look(foreign)
    said = page.evaluate(
        "([url, id]) => fetch(`${url}/api/v1/executions/${id}/drop`, {method: 'POST', mode: 'no-cors',"
        " credentials: 'include', headers: {'Content-Type': 'text/plain'}, body: '{}'}).then(() => 'sent', String)",
        [busy_house.url, execution],
    )
    look.complaints.clear()  # type: ignore[attr-defined]
    assert said
    assert str(execution) not in " ".join(targets(busy_house))
    assert busy_house.ask("/api/v1/processes/foreign-1")["head"]["verdict"] == "stuck"


def test_nothing_can_be_done_where_no_node_runs(own_house: House, look: Look) -> None:
    assert own_house.node is not None
    own_house.node.terminate()
    own_house.node.wait(timeout=20)
    page = look(f"{own_house.url}/processes/seat-20")
    expect(page.locator("#standing")).to_contain_text("no node runs")
    expect(page.locator("#details").get_by_role("button", name="Retry")).to_be_disabled()

"""Everything that matters goes without a mouse."""

from playwright.sync_api import expect
from tests.browser.house import House, Look


def test_a_process_is_found_by_its_key(house: House, look: Look) -> None:
    page = look(house.url)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("seat-20")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("seat-20")


def test_a_list_is_walked_and_opened(house: House, look: Look) -> None:
    page = look(house.url)
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.locator("h1")).to_have_text("Processes")
    expect(page.locator("html")).to_have_attribute("data-ready", "")
    keys = page.locator("#list tbody a").all_inner_texts()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("#list tr[data-here] a")).to_have_text(keys[1])
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(keys[1])


def test_every_view_has_its_keys(house: House, look: Look) -> None:
    page = look(house.url)
    for key, heading in (("p", "Processes"), ("m", "Map"), ("e", "Events"), ("s", "Services"), ("l", "Audit log")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(heading)
        expect(page.locator("html")).to_have_attribute("data-ready", "")
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.locator("h1")).to_have_text("Attention")


def test_a_question_mark_tells_the_keys_and_escape_closes_it(house: House, look: Look) -> None:
    page = look(house.url)
    page.keyboard.press("?")
    expect(page.locator("dialog#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog#keys")).to_be_hidden()


def test_letters_in_a_field_are_letters(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes")
    page.locator("#f-q").fill("")
    page.locator("#f-q").press_sequentially("gp?/")
    expect(page.locator("#f-q")).to_have_value("gp?/")
    expect(page.locator("dialog#keys")).to_be_hidden()


def test_failures_only_is_a_key_and_an_address(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes/crowd-1")
    everything = page.locator("#flow a").count()
    page.keyboard.press("f")
    page.wait_for_url("**failures=1*")
    expect(page.locator("html")).to_have_attribute("data-ready", "")
    assert 0 < page.locator("#flow a").count() <= everything
    page.keyboard.press("f")
    page.wait_for_url(lambda url: "failures" not in url)


def test_the_first_tab_skips_to_the_content(house: House, look: Look) -> None:
    page = look(house.url)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_flow_is_walked_with_the_details_beside_it(house: House, look: Look) -> None:
    page = look(f"{house.url}/processes/seat-1")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#details h2")).to_have_text("box_office.hold")

"""What others wrote is text, wherever it is shown: keys, payloads, errors, remarks."""

from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Page, expect
from tests.browser import theatre
from tests.browser.house import House, Look

from onstage import Envelope
from onstage.stage import Stage

CORPUS = (
    "<script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    '"><svg onload="document.title=\'pwned\'">',
    "javascript:document.title='pwned'",
    "{{7*7}}</textarea></title></template><script>document.title='pwned'</script>",
    "' hx-get='/pwned' hx-trigger='load' data-act='/pwned' x='",
    "</pre></style><iframe srcdoc=\"<script>parent.document.title='pwned'</script>\">",
    "\u202egnp.exe\u2066",
    "%3Cscript%3E/../..//?#&amp;",
)


def delivered(number: int, evil: str) -> Envelope:
    """It has come from elsewhere, with headers of its own."""
    data = msgspec.json.encode({"order_id": f"sent-{number}", "seats": 2})
    headers = {"remark": evil, "origin": f"https://x.example/{evil}"}
    return Envelope(
        id=f"{number} {evil}",
        source="//elsewhere",
        type="tickets-ordered",
        data=data,
        tracestate=evil,
        extensions=headers,
    )


async def pause(client: Stage) -> None:
    await client.pause("foyer.greet", by=CORPUS[0], why=CORPUS[1])


@pytest.fixture(scope="module")
def haunted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("haunted"))
    try:
        house.open()
        house.emit(*(theatre.TicketsOrdered(evil, 2, "offline", evil) for evil in CORPUS))
        house.emit(*(theatre.TicketsOrdered(f"well {evil}", 2, "visa", evil) for evil in CORPUS))
        house.emit(*(delivered(number, evil) for number, evil in enumerate(CORPUS)))
        house.through(pause)
        house.settled(len(CORPUS))
        house.url = house.serve()
        yield house
    finally:
        house.close()


def shown(text: str) -> str:
    """What nobody sees is written out."""
    return text.replace("\u202e", "\\x202e").replace("\u2066", "\\x2066")


def is_harmless(page: Page) -> None:
    assert page.title() != "pwned"
    assert page.locator("main script, main img, main iframe, main [onload], main [onerror], [hx-get]").count() == 0
    assert page.locator("main a[href^='javascript']").count() == 0


@pytest.mark.parametrize(
    "path", ["/", "/processes", "/events", "/events/tickets-ordered", "/map", "/services", "/audit"]
)
def test_a_view_shows_it_as_text(haunted: House, look: Look, path: str) -> None:
    page = look(haunted.url + path)
    is_harmless(page)
    if path in ("/", "/processes"):
        expect(page.locator("main")).to_contain_text("<script>document.title='pwned'</script>")


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_headers_are_shown_as_text(haunted: House, look: Look, number: int) -> None:
    page = look(f"{haunted.url}/processes/sent-{number}")
    page.locator("#flow a[data-node^=e]").first.click()
    expect(page.locator("#details h2")).to_have_text("tickets-ordered")
    expect(page.locator("#details dl").last).to_contain_text("remark")
    expect(page.locator("#details dl").last).to_contain_text(shown(CORPUS[number]))
    is_harmless(page)


@pytest.mark.parametrize("path", ["/", "/audit"])
def test_who_paused_and_why_is_shown_as_text(haunted: House, look: Look, path: str) -> None:
    page = look(haunted.url + path)
    expect(page.locator("main")).to_contain_text(CORPUS[0])
    is_harmless(page)


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_a_process_of_that_name_shows_it_as_text(haunted: House, look: Look, number: int) -> None:
    page = look(haunted.url)
    page.locator("#search").fill(CORPUS[number])
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_contain_text("CardReaderOffline")
    expect(page.locator("h1")).to_have_text(shown(CORPUS[number]))
    is_harmless(page)
    page.locator("#flow a[data-node^=e]").first.click()
    expect(page.locator("#details h2")).to_have_text("tickets-ordered")
    is_harmless(page)
    page.reload()
    is_harmless(page)


def test_hidden_characters_are_seen(haunted: House, look: Look) -> None:
    page = look(f"{haunted.url}/processes")
    expect(page.locator("#list")).to_contain_text("\\x202egnp.exe")
    assert "\u202e" not in page.content()

"""A real Chromium that looks at a theatre."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.browser.house import House, Look, find_chromium, opened

WIDTH, HEIGHT = 1360, 860


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """For tests that only look."""
    found = opened(tmp_path_factory.mktemp("theatre"))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def busy_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """For tests that change something, each at orders of its own."""
    found = opened(tmp_path_factory.mktemp("busy"))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[House]:
    """For tests that change everything."""
    found = opened(tmp_path)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def look(chromium: Browser) -> Iterator[Look]:
    """Opens a page in a fresh profile. Whatever a page complains about fails the test at its end."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(url: str = "about:blank", *, scheme: Any = "light", **options: Any) -> Page:
        context = chromium.new_context(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT}, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        if url.startswith("http"):
            page.wait_for_selector("html[data-ready]", state="attached")
        return page

    open_page.complaints = complaints  # type: ignore[attr-defined]
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints, complaints

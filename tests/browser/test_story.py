"""The story, as a new user has it: the command that `make demo` prints opens the UI, and the stuck order is mended."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.house import ROOT, Look

CLICKS_MAX = 4
STEP_OFF_S = 20


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command for the browser that the demo prints at its end."""
    environment = os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("demo"))}
    demo = [sys.executable, ROOT / "examples/shop/demo.py"]
    done = subprocess.run(demo, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1].strip()


@pytest.fixture
def address(printed: str, tmp_path: Path) -> Iterator[str]:
    """Where the printed command says that the UI answers."""
    with (tmp_path / "dev.log").open("wb") as log:
        shell = subprocess.Popen(
            ["sh", "-c", printed], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    assert shell.stdout is not None, "it was asked for"
    try:
        lines = iter(shell.stdout.readline, "")
        said = [next(lines), next(lines)]  # the node is open, and the UI answers, in either order
        yield next(found[0] for line in said if (found := re.search(r"http://\S+", line)))
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(timeout=STEP_OFF_S)
        shell.stdout.close()


def test_the_stuck_order_of_the_demo_is_found_understood_and_mended(address: str, look: Look) -> None:
    page = look(address)
    clicks = 0

    line = page.locator("#needs li", has_text="BankUnreachable")
    expect(page.locator("#needs li")).to_have_count(1)
    expect(line).to_contain_text("payment.take_payment")
    expect(line).to_contain_text("ago")

    line.get_by_role("link", name="order-hamlet").click()
    clicks += 1
    expect(page.locator("#head")).to_contain_text("payment.take_payment is a dead letter")
    expect(page.locator("#head")).to_contain_text("ago")
    expect(page.locator("#details")).to_contain_text("BankUnreachable: nobody answers at the bank")
    expect(page.locator("#details")).to_contain_text("world.py")
    expect(page.locator("#flow .missing").first).to_contain_text("shop.order-paid")

    page.locator("#details").get_by_role("button", name="Retry").click()
    clicks += 1
    expect(page.locator("#head .standing")).to_have_text("completed")
    expect(page.locator("#timeline")).to_contain_text("ship")
    page.goto(address)
    expect(page.locator("#needs li")).to_have_count(0)
    assert clicks <= CLICKS_MAX

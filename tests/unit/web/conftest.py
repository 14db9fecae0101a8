"""A UI over the store of the tiny app, asked as a browser on this machine asks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.cli.conftest import tiny

from onstage.web.web_app import Settings, make_app

__all__ = ["tiny", "ui"]

Opening = Callable[..., TestClient]


@pytest.fixture
def ui(tiny: Any) -> Iterator[Opening]:
    """Opens the UI on the tiny app's store; with settings, and another address if the test says so."""
    with ExitStack() as stack:

        def open_ui(base_url: str = "http://localhost", **settings: Any) -> TestClient:
            app = make_app(tiny.store, Settings(**settings))
            return stack.enter_context(TestClient(app, base_url=base_url, follow_redirects=False))

        yield open_ui

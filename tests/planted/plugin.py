"""A plugin of pytest: the bug named by ONSTAGE_PLANTED_BUG is planted before the tests are imported."""

import os
from contextlib import ExitStack

import pytest
from tests.planted.bugs import BUGS

PLANTED = ExitStack()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Plant it."""
    PLANTED.enter_context(BUGS[os.environ["ONSTAGE_PLANTED_BUG"]].planted())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take it out."""
    PLANTED.close()

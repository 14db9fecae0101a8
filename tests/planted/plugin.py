"""A plugin of pytest: the bug named by ONSTAGE_PLANTED_BUG is planted while the tests run."""

import os
from collections.abc import Iterator

import pytest
from tests.planted.bugs import BUGS


@pytest.fixture(autouse=True, scope="session")
def planted_bug() -> Iterator[None]:
    """Plant it before the first test."""
    with BUGS[os.environ["ONSTAGE_PLANTED_BUG"]].planted():
        yield

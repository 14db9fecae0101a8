"""A file for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.testing.checks.filing import File


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    made = File(tmp_path)
    yield made
    made.connection.close()

"""I15: a file that is left open is counted."""

from pathlib import Path

import pytest

from onstage.testing.checks import open_files
from onstage.testing.checks.open_files import open_descriptors


def test_each_open_file_counts(tmp_path: Path) -> None:
    before = open_descriptors()
    with (tmp_path / "x").open("w"):
        assert open_descriptors() == before + 1
    assert open_descriptors() == before


def test_where_it_cannot_be_told_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "DESCRIPTORS", tmp_path / "none")
    assert open_descriptors() == 0

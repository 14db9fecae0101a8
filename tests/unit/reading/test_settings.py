"""What pyproject.toml remembers."""

from pathlib import Path

import pytest

from onstage.cli.failures import Failure
from onstage.reading.settings import find_settings


def test_the_nearest_settings_win_and_a_relative_store_lies_beside_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.onstage]\napp = "shop:app"\nstore = "sqlite:///shop.db"\n')
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (tmp_path / "a/pyproject.toml").write_text('[project]\nname = "other"\n')
    found = find_settings(below)
    assert (found.folder, found.app, found.store) == (tmp_path, "shop:app", f"sqlite:///{tmp_path}/shop.db")


def test_an_absolute_store_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.onstage]\nstore = "sqlite:////var/shop.db"\n')
    assert find_settings(tmp_path).store == "sqlite:////var/shop.db"


def test_without_settings_nothing_is_remembered(tmp_path: Path) -> None:
    assert find_settings(tmp_path).app is None


@pytest.mark.parametrize("text", ["[tool.onstage", "[tool.onstage]\napp = 5\n"])
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(Failure):
        find_settings(tmp_path)

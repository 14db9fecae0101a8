"""`onstage run`: what it refuses. The process itself runs in tests/scenario/test_cli.py."""

from typing import Any


def test_without_an_app_it_says_how_to_name_one(tiny: Any) -> None:
    (tiny.folder / "pyproject.toml").unlink()
    result = tiny.run("run")
    assert result.exit_code == 2
    assert "which app?" in result.stderr


def test_a_folder_that_is_missing_is_unreachable(tiny: Any) -> None:
    result = tiny.run("run", "--store", "sqlite:///no/such/folder/x.db")
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 3

"""Files of others say which they are, under which licence, and are exactly what was published."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = [ROOT / "src/onstage/web/static/vendor", ROOT / "tests/browser/vendor"]


def listed(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=["shipped", "for tests"])
def test_each_file_is_the_one_that_was_published(folder: Path) -> None:
    for package in listed(folder):
        present = {path.name: sha256(path.read_bytes()).hexdigest() for path in (folder / package["folder"]).iterdir()}
        assert present == package["files"], f"{package['package']} {package['version']} was changed"


@pytest.mark.parametrize("folder", FOLDERS, ids=["shipped", "for tests"])
def test_nothing_lies_there_that_is_not_listed(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *(each["folder"] for each in listed(folder))}


@pytest.mark.parametrize("folder", FOLDERS, ids=["shipped", "for tests"])
def test_each_says_version_source_and_licence(folder: Path) -> None:
    for package in listed(folder):
        assert package["version"] in package["source"]
        licence = folder / package["folder"] / package["licence_file"]
        assert len(licence.read_text()) > 500, package["licence"]


def test_what_is_shipped_is_small_and_read_by_the_pages() -> None:
    files = {path: path.stat().st_size for path in FOLDERS[0].rglob("*.js")}
    assert len(files) == 2
    assert sum(files.values()) < 120_000
    static = FOLDERS[0].parent
    used = (static.parent / "templates/layout.html").read_text() + (static / "pages/map.js").read_text()
    assert all(path.relative_to(static).as_posix().removeprefix("vendor/") in used for path in files)

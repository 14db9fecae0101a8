"""Where the web UI over a store answers."""

from pathlib import Path

import pytest

from onstage.reading.ui_address import noted, process_link, ui_address


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_an_address_is_known_while_the_ui_answers(tmp_path: Path) -> None:
    store, other = tmp_path / "a.db", tmp_path / "b.db"
    with noted(store, "http://127.0.0.1:7070"):
        assert process_link(store, "p-1 x/y") == "http://127.0.0.1:7070/processes/p-1%20x%2Fy"
        assert process_link(other, "p-1") is None
    assert ui_address(store) is None


def test_the_address_of_a_later_ui_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "a.db"
    with noted(store, "http://one"):
        (file,) = tmp_path.glob("*.ui")
        file.write_text("http://two\n")
    assert ui_address(store) == "http://two"

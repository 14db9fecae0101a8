"""`onstage doctor`."""

import asyncio
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.apart_stage import play_apart

from onstage.cli.doctor import has_wal_bug
from onstage.stores.sqlite.connection import lock, unlock


def problems(tiny: Any) -> Any:
    return {finding["what"]: finding for finding in tiny.json("doctor", code=1) if not finding["is_well"]}


def test_a_healthy_store_has_no_problem(tiny: Any) -> None:
    tiny.play(("o1", 5))
    result = tiny.run("doctor")
    assert result.exit_code == 0, result.output
    assert "all is well" in result.stdout


def test_a_store_that_is_not_there_yet_is_no_problem(tiny: Any) -> None:
    assert tiny.run("doctor").exit_code == 0


def test_an_observer_at_work_is_no_problem(tiny: Any) -> None:
    play_apart(tiny, ("o1", 5))
    view = ("--store", "sqlite:///view.db")
    assert "none runs on this store" in tiny.run("doctor", *view).stdout
    held = lock(tiny.folder / "view.db")
    found = tiny.run("doctor", *view)
    unlock(held)
    assert found.exit_code == 0, found.stdout
    assert f"process {os.getpid()} reads into this store" in found.stdout


def test_dead_letters_of_an_observers_store_are_mended_elsewhere(tiny: Any) -> None:
    play_apart(tiny, ("o1", -1))
    (found,) = [each for each in tiny.json("doctor", "--store", "sqlite:///view.db", code=1) if not each["is_well"]]
    assert found["mend"].endswith("retry them in the stores of their services")


def test_dead_letters_are_a_problem_with_a_mend(tiny: Any) -> None:
    tiny.play(("o1", -1))
    assert "onstage dead" in problems(tiny)["dead letters"]["mend"]


def test_open_executions_whose_handler_is_gone_are_found(tiny: Any) -> None:
    tiny.play(("o2", 2000))
    (tiny.folder / "other_app.py").write_text("from onstage import App, Service\napp = App(Service('x'))\n")
    found = tiny.run("doctor", "--app", "other_app")
    assert found.exit_code == 1
    assert "open executions of handlers that the app lacks: payment.take_payment (1)" in found.stdout


def test_an_app_that_cannot_be_imported_is_a_problem(tiny: Any) -> None:
    (tiny.folder / "broken_app.py").write_text("1 / 0\n")
    found = tiny.run("doctor", "--app", "broken_app:app")
    assert found.exit_code == 1
    assert "ZeroDivisionError" in found.stdout


def test_a_file_that_is_no_database_is_a_problem(tiny: Any) -> None:
    tiny.store.write_bytes(b"no database at all" * 100)
    assert "contents" in problems(tiny)


@pytest.mark.parametrize(
    ("synchronous", "says", "is_well"),
    [
        ("FULL", "survives a power cut", True),
        ("NORMAL", "a power cut may take the last commits", True),
        ("OFF", "a power cut may damage the file", False),
    ],
)
def test_it_says_what_the_writer_really_does_for_durability(
    tiny: Any, synchronous: str, says: str, is_well: bool
) -> None:
    async def start() -> None:
        for mode in ("FULL", synchronous):
            async with tiny.app().run(f"sqlite:///{tiny.store}", synchronous=mode):
                pass

    asyncio.run(start())
    (found,) = (each for each in tiny.json("doctor", code=0 if is_well else 1) if each["what"] == "durability")
    assert found["found"].startswith(f"journal_mode=wal; the newest writer runs with synchronous={synchronous}: ")
    assert says in found["found"]
    assert found["is_well"] is is_well


def test_a_file_that_does_not_say_how_it_was_written_is_no_problem(tiny: Any) -> None:
    tiny.play(("o1", 5))
    with closing(sqlite3.connect(tiny.store)) as file:
        file.execute("DELETE FROM onstage_meta WHERE name = 'synchronous'")
        file.commit()
    (found,) = (each for each in tiny.json("doctor") if each["what"] == "durability")
    assert "is not recorded" in found["found"]


def test_a_folder_for_sockets_that_others_could_reach_is_a_problem(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"onstage-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    found = problems(tiny)["node"]
    assert found["found"].startswith(f"{folder} cannot hold the node's socket why: its mode is 755")
    assert found["mend"].startswith("remove it, or set XDG_RUNTIME_DIR")


@pytest.mark.parametrize(
    ("version", "bad"),
    [((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False)],
)
def test_the_wal_reset_bug_is_known_by_version(version: Any, bad: Any) -> None:
    assert has_wal_bug(version) == bad

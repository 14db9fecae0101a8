"""`onstage db`."""

from pathlib import Path
from typing import Any

from onstage.cli.database import size_of
from onstage.reading.store_file import newest_layout
from onstage.stores.sqlite import connection as files


def test_the_status_counts_what_is_there(tiny: Any) -> None:
    tiny.play(("o1", 5), ("o2", -1))
    found = tiny.json("db", "status")
    assert (found["processes"], found["open"], found["dead_letters"], found["events"]) == (2, 1, 1, 3)
    assert found["writer"] is None
    assert "processes  2" in tiny.run("db", "status").stdout


def test_the_path_is_absolute(tiny: Any) -> None:
    assert tiny.run("db", "path").stdout.strip() == str(tiny.store)


def test_a_backup_is_a_whole_store_and_overwrites_nothing(tiny: Any) -> None:
    tiny.play(("o1", 5))
    copy = tiny.folder / "copy.db"
    assert tiny.run("db", "backup", str(copy)).exit_code == 0
    assert [row["key"] for row in tiny.json("ps", "--store", f"sqlite:///{copy}")] == ["o1"]
    assert tiny.run("db", "backup", str(copy)).exit_code == 2
    assert not list(tiny.folder.glob("*.partial*"))


def test_migrating_the_newest_layout_does_nothing(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert "nothing to do" in tiny.run("db", "migrate").stdout
    assert tiny.run("db", "migrate", "--store", "sqlite:///nowhere.db").exit_code == 3


def test_an_older_file_is_brought_to_the_newest_layout(tiny: Any) -> None:
    path = tiny.folder / "old.db"
    files.open_writer(path, "FULL").close()
    url = f"sqlite:///{path}"
    assert (
        tiny.run("db", "migrate", "--dry-run", "--store", url).stdout
        == f"layout 0 -> {newest_layout()} would be done\n"
    )
    assert tiny.run("db", "migrate", "--store", url).stdout == f"layout 0 -> {newest_layout()}, done\n"
    assert tiny.json("ps", "--store", url) == []


def test_a_file_that_is_missing_has_no_size(tmp_path: Path) -> None:
    assert size_of(tmp_path / "nothing") == 0


def test_large_payloads_are_counted(tiny: Any) -> None:
    tiny.rewrite(("App(payment, mail, order)", "App(payment, mail, order, offload_above=1024)"))
    tiny.play(("o1", 5))
    assert "none is offloaded" in tiny.run("doctor").stdout
    tiny.rewrite(('return f"receipt {order_id}"', 'return "receipt " * 256'))
    tiny.play(("o2", 5))
    found = tiny.json("db", "status")
    assert found["blobs"] == 1
    assert found["blob_bytes"] > 2000
    assert "1 offloaded, 2.0 KiB" in tiny.run("doctor").stdout

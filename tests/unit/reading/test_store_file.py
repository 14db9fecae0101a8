"""The store's file as the command line looks at it."""

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.unit.cli.apart_stage import play_apart

from onstage.cli.failures import Failure
from onstage.errors import SchemaTooNew
from onstage.reading.store_file import lock_holder, looking_at, newest_layout, verdict_from
from onstage.stores.sqlite import connection as files


def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    apsw.Connection(str(other)).execute("CREATE TABLE mine (x)")
    for path in (other, tmp_path / "missing.db"):
        with pytest.raises(Failure), looking_at(path):
            pass
    assert not (tmp_path / "missing.db").exists()


def test_a_store_of_a_newer_version_is_refused(tiny: Any) -> None:
    tiny.play(("o1", 5))
    connection = apsw.Connection(str(tiny.store))
    connection.execute(f"PRAGMA user_version = {newest_layout() + 1}")
    connection.close()
    with pytest.raises(SchemaTooNew), looking_at(tiny.store):
        pass


def test_it_cannot_write(tiny: Any) -> None:
    tiny.play(("o1", 5))
    with looking_at(tiny.store) as store, pytest.raises(apsw.ReadOnlyError):
        store.connection.execute("DELETE FROM onstage_event")


def test_the_verdict_of_a_file_without_a_node_is_what_is_on_disk(tiny: Any) -> None:
    tiny.play(("o2", 2000))
    with looking_at(tiny.store) as store:
        verdict = asyncio.run(verdict_from(store, 1))
        assert asyncio.run(verdict_from(store, 99)) is None
    assert verdict is not None
    assert verdict.status == "waiting"


def test_who_holds_the_lock_is_known_and_asking_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    assert lock_holder(path) is None
    descriptor = files.lock(path)
    assert lock_holder(path) is not None
    files.unlock(descriptor)
    assert lock_holder(path) is None


def test_a_store_says_of_which_kind_it_is(tiny: Any) -> None:
    tiny.play(("o1", 5))
    play_apart(tiny, ("o1", 5))
    held = {"tiny.db": "whole processes", "payment.db": "one service's part", "view.db": "what an observer has seen"}
    for name, words in held.items():
        assert tiny.json("db", "status", "--store", f"sqlite:///{name}")["holds"].startswith(words)

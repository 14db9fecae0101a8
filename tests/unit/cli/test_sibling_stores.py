"""Where the stores of other services lie."""

from pathlib import Path
from typing import Any

from tests.unit.cli.apart_stage import play_apart

from onstage.cli.sibling_stores import stores_of


def test_the_stores_of_services_are_found_beside_an_observers(tiny: Any) -> None:
    play_apart(tiny, ("o1", 5))
    (tiny.folder / "other.db").write_bytes(b"no database")
    found = stores_of(["payment", "mail", "nobody"], tiny.folder / "view.db")
    assert found == {"payment": Path("payment.db"), "mail": Path("mail.db")}


def test_a_store_of_whole_processes_is_nobodys_part(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert stores_of(["payment"], tiny.folder / "view.db") == {}

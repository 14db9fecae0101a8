"""The stores of other services in the same folder: where to send somebody who looks into an observer's."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw

from onstage.errors import StoreUnavailable
from onstage.stores.sqlite.connection import kind_of, open_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STORES_MAX", "stores_of"]

STORES_MAX: Final = 200
"""How many files of a folder are looked at."""


def stores_of(services: Sequence[str], beside: Path) -> dict[str, Path]:
    """The stores in the folder of `beside` that run these services, as far as there are any."""
    found: dict[str, Path] = {}
    for path in sorted(beside.resolve().parent.glob("*.db"))[:STORES_MAX]:
        here = _services_in(path)
        found |= {service: Path(os.path.relpath(path)) for service in services if service in here}
    return found


def _services_in(path: Path) -> set[str]:
    try:
        with closing(open_reader(path)) as connection:
            if kind_of(connection) != "part":
                return set()
            names = connection.execute("SELECT name FROM onstage_handler").fetchall()
    except (apsw.Error, StoreUnavailable):
        return set()  # no store, or not one that we may read
    return {str(name).partition(".")[0] for (name,) in names}

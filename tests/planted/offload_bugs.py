"""Bugs planted in what keeps large payloads apart, and removes them."""

from typing import Any

import pytest

from onstage.stores.sqlite.offload import Offload
from onstage.stores.sqlite.queries import query

Patch = pytest.MonkeyPatch


def collected_though_a_journal_names_it(patch: Patch) -> None:
    """What no event and no state names is removed."""
    _collect_what(
        patch,
        "SELECT hash FROM onstage_blob WHERE hash NOT IN"
        " (SELECT data FROM onstage_event UNION SELECT data FROM onstage_state)",
    )


def collected_though_a_state_names_it(patch: Patch) -> None:
    """What only a state names is removed."""
    _collect_what(patch, "SELECT hash FROM onstage_blob WHERE hash IN (SELECT data FROM onstage_state) AND refs = 1")


def _collect_what(patch: Patch, sql: str) -> None:
    def collect(_: Offload, db: Any) -> None:
        for name in db.execute(sql).fetchall():
            db.execute(query("drop_blob_body"), name)
            db.execute(query("drop_blob"), name)

    patch.setattr(Offload, "collect", collect)


def replaced_state_still_counted(patch: Patch) -> None:
    """What a state named before it was replaced is never removed."""

    def release(*_: Any) -> None:
        return None

    patch.setattr(Offload, "_release", release)

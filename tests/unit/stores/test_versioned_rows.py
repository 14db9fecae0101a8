"""Versioned rows: each follows the newest, stored or in the batch."""

from onstage.core.commit import WaveRow
from onstage.stores.versioned_rows import VersionedRows


def row(process: int, version: int) -> WaveRow:
    return WaveRow(process, version, "compensating", b"")


def test_the_first_has_version_one() -> None:
    rows: VersionedRows[WaveRow] = VersionedRows()
    assert rows.version(7) == 0
    assert not rows.are_overtaken([row(7, 1)])
    assert rows.are_overtaken([row(7, 1), row(8, 2)])
    assert not rows.are_overtaken([])


def test_what_is_stored_and_what_the_batch_has_put_counts() -> None:
    rows: VersionedRows[WaveRow] = VersionedRows()
    rows.look_up({7, 8}, lambda asked: [(n, 3) for n in asked if n == 7])
    assert (rows.version(7), rows.version(8)) == (3, 0)
    rows.put([row(7, 4)])
    assert rows.version(7) == 4
    assert rows.are_overtaken([row(7, 4)])
    assert rows.newest == {7: row(7, 4)}


def test_nothing_is_asked_for_nothing() -> None:
    rows: VersionedRows[WaveRow] = VersionedRows()
    rows.look_up(set(), lambda _: [(1, 1)])
    assert rows.version(1) == 0

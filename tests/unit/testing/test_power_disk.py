"""What a power cut leaves: the model, rule by rule."""

from collections.abc import Iterable
from pathlib import Path

from onstage.testing.power_disk import SECTOR, Disk, Operation

OLD, NEW = b"o" * 3 * SECTOR, b"n" * 3 * SECTOR
SEEDS = range(200)


def disk(*operations: Operation) -> Disk:
    made = Disk()
    made.operations.extend(operations)
    return made


def left(made: Disk, seeds: Iterable[int] = SEEDS) -> set[bytes | None]:
    """What there may be in the file `f` after everything that happened."""
    return {made.survivors(len(made.operations), seed).get("f") for seed in seeds}


SYNCED = (Operation("create", "f"), Operation("write", "f", 0, OLD), Operation("sync", "f"))


def test_what_was_synced_stays() -> None:
    assert left(disk(*SYNCED)) == {OLD}


def test_of_what_was_not_synced_each_sector_is_kept_lost_or_torn() -> None:
    found = left(disk(*SYNCED, Operation("write", "f", 0, NEW)))
    assert {OLD, NEW} <= found
    sectors = {
        content[place : place + SECTOR] for content in found if content for place in range(0, 3 * SECTOR, SECTOR)
    }
    assert any(sector.startswith(b"n") and sector.endswith(b"o") for sector in sectors), "torn from its start on"
    assert any(sector.startswith(b"o") and sector.endswith(b"n") for sector in sectors), "torn from its end on"
    assert all(len(sector.replace(b"on", b"o|n").replace(b"no", b"n|o").split(b"|")) <= 2 for sector in sectors)
    assert {len(content) for content in found if content is not None} == {3 * SECTOR}


def test_bytes_beside_a_write_are_never_harmed() -> None:
    found = left(disk(*SYNCED, Operation("write", "f", 100, b"n" * 10)))
    assert len(found) > 2
    assert all(content and content[:100] + content[110:] == OLD[:100] + OLD[110:] for content in found)


def test_a_sector_may_be_as_it_was_in_between() -> None:
    writes = [Operation("write", "f", 0, bytes([n]) * SECTOR) for n in range(3)]
    found = left(disk(*SYNCED, *writes))
    assert {content[:1] for content in found if content} == {b"o", b"\0", b"\1", b"\2"}


def test_where_a_file_grew_without_its_content_there_are_zeros_or_garbage() -> None:
    found = left(disk(*SYNCED, Operation("write", "f", 3 * SECTOR, b"n" * SECTOR)))
    tails = {content[3 * SECTOR :] for content in found if content}
    assert {b"", bytes(SECTOR), b"n" * SECTOR} <= tails
    assert any(tail and len(set(tail)) > 50 for tail in tails), "garbage"
    assert all(content and content[: 3 * SECTOR] == OLD for content in found)


def test_sizes_reach_the_disk_in_their_order() -> None:
    found = left(disk(*SYNCED, Operation("truncate", "f", SECTOR), Operation("write", "f", SECTOR, b"n" * SECTOR)))
    assert {len(content) for content in found if content} == {SECTOR, 2 * SECTOR, 3 * SECTOR}
    assert OLD in found
    assert OLD[:SECTOR] + b"n" * SECTOR in found


def test_a_name_is_durable_from_the_first_sync_on() -> None:
    assert left(disk(Operation("create", "f"), Operation("write", "f", 0, OLD))) >= {None, b"", OLD}


def test_a_deletion_is_durable_when_the_directory_was_synced() -> None:
    assert left(disk(*SYNCED, Operation("delete", "f", 0))) == {OLD, None}
    assert left(disk(*SYNCED, Operation("delete", "f", 1))) == {None}
    other = (Operation("found", "g"), Operation("delete", "g", 1))
    assert left(disk(*SYNCED, Operation("delete", "f", 0), *other)) == {None}


def test_a_new_file_takes_the_name_of_the_deleted_one_when_it_is_synced() -> None:
    again = (Operation("delete", "f", 0), Operation("create", "f"), Operation("write", "f", 0, NEW))
    assert {OLD, None, NEW} <= left(disk(*SYNCED, *again))
    assert left(disk(*SYNCED, *again, Operation("sync", "f"))) == {NEW}


def test_after_a_failed_sync_later_syncs_bring_nothing_back() -> None:
    failed = (Operation("write", "f", 0, NEW), Operation("failed sync", "f"), Operation("sync", "f"))
    assert {OLD, NEW} < left(disk(*SYNCED, *failed))
    assert left(disk(*SYNCED, *failed, Operation("write", "f", 0, NEW), Operation("sync", "f"))) == {NEW}


def test_files_that_were_there_before_are_durable() -> None:
    assert left(disk(Operation("found", "f", 0, OLD), Operation("nothing", "f"))) == {OLD}


def test_the_same_seed_leaves_the_same_files_in_whatever_order_one_asks() -> None:
    made = disk(*SYNCED, *(Operation("write", "f", 77 * n, bytes([n]) * 700) for n in range(30)))
    forwards = [made.survivors(at, 5) for at in range(len(made.operations) + 1)]
    backwards = [made.survivors(at, 5) for at in reversed(range(len(made.operations) + 1))]
    assert forwards == backwards[::-1]
    assert forwards[10:] != [made.survivors(at, 6) for at in range(10, len(made.operations) + 1)]


def test_what_is_left_can_be_written_to_a_folder(tmp_path: Path) -> None:
    made = disk(Operation("found", "/somewhere/store.db", 0, OLD))
    assert made.has("/somewhere/store.db")
    made.leave(1, 0, tmp_path)
    assert (tmp_path / "store.db").read_bytes() == OLD
    made.operations.append(Operation("delete", "/somewhere/store.db", 1))
    assert not made.has("/somewhere/store.db")

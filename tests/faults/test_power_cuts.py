"""The power goes at every I/O operation of a whole play: nothing acknowledged is lost, nothing is there by half."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.faults.theatre import (
    Recording,
    check_goes_on,
    check_kept,
    count_lost,
    recording,
    survivors,
)

from onstage.stores.batch import Batch
from onstage.stores.sqlite.writer import Writer
from onstage.testing.power_vfs import Fault, FaultKind

SEEDS = 3


def complaints(record: Recording, folder: Path, *, every: int = 1) -> Counter[str]:
    """What is wrong after how many cuts."""
    found = Counter[str]()
    for at in record.cuts[::every]:
        with survivors(record, at, 0, folder) as path:
            try:
                check_kept(record, at, path)
            except AssertionError as error:
                found[str(error).split(":", maxsplit=1)[0].split("\n", maxsplit=1)[0]] += 1
    return found


def shape(record: Recording) -> list[tuple[object, ...]]:
    """The log but for its bytes: SQLite draws salts."""
    return [(o.kind, o.file, o.offset, len(o.data)) for o in record.vfs.disk.operations]


def test_the_play_uses_what_a_power_cut_could_spoil(tmp_path: Path) -> None:
    with recording(tmp_path) as record:
        kinds = Counter((operation.kind, operation.file.rpartition("-")[2]) for operation in record.vfs.disk.operations)
    log = next(end for kind, end in kinds if end == "wal")
    assert kinds["sync", log] > 20
    assert kinds["create", log] == kinds["delete", log] == 2, "the log is deleted and begun anew"
    assert sum(count for (kind, end), count in kinds.items() if kind == "sync" and end != log) > 5, "checkpoints"
    assert kinds["delete", "journal"] == 1
    assert len(record.states) == len(record.acknowledged) > 15
    assert not record.troubles


def cut(record: Recording, at: int, seed: int, folder: Path) -> None:
    with survivors(record, at, seed, folder) as path:
        check_kept(record, at, path)


def cut_and_go_on(record: Recording, at: int, seed: int, folder: Path, repeated: list[str]) -> None:
    with survivors(record, at, seed, folder) as path:
        check_goes_on(record, at, path, repeated)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_power_cut_loses_what_was_acknowledged(seed: int, tmp_path: Path, repeated: list[str]) -> None:
    with recording(tmp_path) as record:
        for at in record.cuts:
            cut(record, at, seed, tmp_path)
            if at % SEEDS == seed:
                cut_and_go_on(record, at, seed, tmp_path, repeated)


def cut_again(first: Recording, at: int, folder: Path, repeated: list[str]) -> int:
    """Let a node start on what a cut left, and cut its power too, here and there."""
    first.vfs.disk.leave(at, at, folder)
    with recording(folder, after=(first, at)) as second:
        places = second.cuts[at % 7 :: 43]
        for again in places:
            cut(second, again, at, folder)
            cut_and_go_on(second, again, at, folder, repeated)
    return len(places)


def test_a_power_cut_while_a_node_recovers_from_one_loses_nothing_either(tmp_path: Path, repeated: list[str]) -> None:
    cuts = 0
    with recording(tmp_path) as record:
        for at in record.cuts[40::45]:
            (tmp_path / str(at)).mkdir()
            cuts += cut_again(record, at, tmp_path / str(at), repeated)
    assert cuts > 80


def lost_commits(record: Recording, at: int, seed: int, folder: Path) -> int:
    with survivors(record, at, seed, folder) as path:
        return count_lost(record, at, path)


def test_with_normal_a_power_cut_loses_the_last_commits_and_harms_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recording(tmp_path, synchronous="NORMAL") as record:
        lost = [lost_commits(record, at, seed, tmp_path) for at in record.cuts for seed in range(2)]
    share = sum(count > 0 for count in lost) / len(lost)
    with capsys.disabled():
        sys.stdout.write(
            f"\nNORMAL: {len(lost)} power cuts, {share:.0%} lost commits, at most {max(lost)}, 0 corrupt\n"
        )
    assert max(lost) > 0, "if NORMAL loses nothing, say so in the documentation"


def test_the_check_sees_a_store_that_does_not_sync(tmp_path: Path) -> None:
    with recording(tmp_path, synchronous="OFF") as record:
        found = complaints(record, tmp_path, every=3)
    assert found["lost"] > 10
    assert found["corrupt"] > 10


def test_the_check_sees_a_disk_that_lies(tmp_path: Path) -> None:
    with recording(tmp_path, faults=(Fault(120, FaultKind.LOST_SYNC, times=10_000),)) as record:
        found = complaints(record, tmp_path, every=3)
    assert found["lost"] > 10


def test_the_check_sees_an_acknowledgement_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    persist = Writer._persist  # noqa: SLF001

    def too_early(self: Writer, batch: Batch) -> None:
        persist(self, batch)
        self._report(batch.outcome())

    monkeypatch.setattr(Writer, "_persist", too_early)
    monkeypatch.setattr(Writer, "_tell", lambda *_: None)
    with recording(tmp_path) as record:
        found = complaints(record, tmp_path)
    assert found["lost"] > 10


def test_the_check_sees_a_step_that_is_repeated(tmp_path: Path, repeated: list[str]) -> None:
    with recording(tmp_path) as record, survivors(record, record.vfs.count, 0, tmp_path) as path:
        repeated.append("house.start light#0")
        with pytest.raises(AssertionError, match="steps ran again"):
            check_goes_on(record, record.vfs.count, path, repeated)


def check_live_cut(whole: Recording, at: int, folder: Path) -> None:
    for file in folder.glob("*.*"):
        file.unlink()
    with recording(folder, faults=(Fault(at, FaultKind.CUT),)) as live:
        assert live.vfs.met == [(at, FaultKind.CUT)]
        assert shape(live) == shape(whole)[:at]
        assert live.acknowledged == whole.acknowledged[: whole.acknowledged_at(at)]
        cut(live, at, 0, folder)


def test_a_cut_that_happens_leaves_what_the_log_says(tmp_path: Path) -> None:
    """All other tests cut a recorded log; here the power goes in earnest, and the log up to there is the same."""
    with recording(tmp_path) as whole:
        for at in whole.cuts[120:-20:61]:
            check_live_cut(whole, at, tmp_path)

"""Syncs that fail, disks that are full, writes that fail: the engine says so, loses nothing and goes on by itself."""

from pathlib import Path

import pytest
from tests.faults.play import ACTS
from tests.faults.theatre import Recording, check_goes_on, check_kept, recording, survivors

from onstage.core.commit import Commit
from onstage.ports.store import Refused
from onstage.stores.sqlite import connection
from onstage.stores.sqlite.writer import Writer
from onstage.testing.power_vfs import Fault, FaultKind

# An error in a connection that is closed by force has nobody to go to but `sys.unraisablehook`.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

FULL = "the disk is full\n  why: a batch could not be written\n  to do: free space; work goes on by itself"
UNWRITABLE = "the store cannot be written\n  why: disk I/O error\n  to do: check the disk; work goes on by itself"


def places(folder: Path, kind: str) -> list[tuple[int, str]]:
    """Where in an undisturbed play there is an operation of this kind: (number, file's ending)."""
    with recording(folder) as record:
        found = [
            (number, operation.file.rpartition("-")[2])
            for number, operation in enumerate(record.vfs.disk.operations)
            if operation.kind == kind
        ]
    clear(folder)
    return found


def clear(folder: Path) -> None:
    for file in [*folder.glob("*.*"), *folder.glob("left/*")]:
        file.unlink()


def check_survived(
    record: Recording, folder: Path, repeated: list[str], *, cuts: int = 0, goes_on: bool = True
) -> None:
    """The play came to its end, and if the power goes then, or soon after the fault, nothing is lost."""
    assert len(record.answers) == len(ACTS)
    first, end = record.vfs.met[0][0], record.vfs.count
    for at in range(first + 5, end, 5)[:cuts]:
        with survivors(record, at, at, folder) as path:  # a seed of its own: the failed sync leaves something else
            check_kept(record, at, path)
    with survivors(record, end, first, folder) as path:
        check_kept(record, end, path)
        if goes_on:
            check_goes_on(record, end, path, repeated)


def found(folder: Path, faults: list[Fault], repeated: list[str], *, dies: bool = False, cuts: int = 4) -> int:
    """How many of these faults the check complains about."""
    complaints = 0
    for fault in faults:
        try:
            with recording(folder, faults=(fault,), dies=dies) as record:
                check_survived(record, folder, repeated, cuts=cuts)
        except (AssertionError, Refused):
            complaints += 1
        clear(folder)
    return complaints


@pytest.mark.parametrize("times", [1, 3])
def test_a_sync_that_fails_anywhere_is_not_believed(times: int, tmp_path: Path, repeated: list[str]) -> None:
    spoken = 0
    for number, _ in places(tmp_path, "sync"):
        with recording(tmp_path, faults=(Fault(number, FaultKind.SYNC_ERROR, times),)) as record:
            assert 1 <= len(record.vfs.met) <= times
            assert set(record.troubles) <= {UNWRITABLE}
            spoken += bool(record.troubles or record.refusals)
            check_survived(record, tmp_path, repeated, cuts=16)
        clear(tmp_path)
    assert spoken > 20


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [(FaultKind.FULL, FULL), (FaultKind.SHORT_WRITE, FULL), (FaultKind.WRITE_ERROR, UNWRITABLE)],
)
def test_a_write_that_fails_is_made_when_the_disk_is_cured(
    kind: FaultKind, trouble: str, tmp_path: Path, repeated: list[str]
) -> None:
    kinds, spoken = [FaultKind.FULL, FaultKind.SHORT_WRITE, FaultKind.WRITE_ERROR], 0
    for number, file in places(tmp_path, "write")[kinds.index(kind) :: len(kinds)]:
        with recording(tmp_path, faults=(Fault(number, kind, times=1 + number % 4),)) as record:
            assert record.vfs.met
            assert set(record.troubles) <= {trouble}, (number, file)
            spoken += bool(record.troubles or record.refusals)
            check_survived(record, tmp_path, repeated, goes_on=number % 4 == 0)  # it takes its time
        clear(tmp_path)
    assert spoken > 100


def test_a_process_that_dies_of_a_failed_sync_leaves_nothing_to_be_believed(
    tmp_path: Path, repeated: list[str]
) -> None:
    """Its last writes are seen by the next process, and are on no disk: they have to be written once more."""
    for number, _ in places(tmp_path, "sync"):
        with recording(tmp_path, faults=(Fault(number, FaultKind.SYNC_ERROR),), dies=True) as record:
            check_survived(record, tmp_path, repeated, cuts=16)
        clear(tmp_path)


# The check sees engines that do it wrong.


def test_the_check_sees_an_engine_that_believes_a_failed_sync(
    tmp_path: Path, repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    postpone = Writer._postpone  # noqa: SLF001

    def believe(self: Writer, commits: list[Commit], error: Exception) -> None:
        batch, self._in_doubt = self._in_doubt, None
        if batch is None:
            postpone(self, commits, error)
            return
        self._is_broken = True
        self._probe("after")
        self._written(batch)

    faults = [Fault(number, FaultKind.SYNC_ERROR) for number, _ in places(tmp_path, "sync")[8:28]]
    monkeypatch.setattr(Writer, "_postpone", believe)
    assert found(tmp_path, faults, repeated) >= 5


def test_the_check_sees_an_engine_that_takes_trouble_for_failure(
    tmp_path: Path, repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It repeats what had happened."""
    faults = [Fault(n, FaultKind.FULL) for n, file in places(tmp_path, "write") if n > 120 and file.endswith("play.db")]
    monkeypatch.setattr(Writer, "_after_doubt", lambda _, commits: commits)
    assert found(tmp_path, faults[::4], repeated) >= 5


def test_the_check_sees_an_engine_that_drops_what_a_full_disk_refused(
    tmp_path: Path, repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [Fault(n, FaultKind.FULL) for n, file in places(tmp_path, "write") if n > 120 and file == "wal"]
    postpone = Writer._postpone  # noqa: SLF001

    def drop(self: Writer, commits: list[Commit], error: Exception) -> None:
        postpone(self, commits[1:] or commits, error)

    monkeypatch.setattr(Writer, "_postpone", drop)
    assert found(tmp_path, faults[::12], repeated) >= 5


def test_the_check_sees_an_engine_that_builds_on_what_no_disk_has(
    tmp_path: Path, repeated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [Fault(number, FaultKind.SYNC_ERROR) for number, file in places(tmp_path, "sync") if file == "wal"]
    monkeypatch.setattr(connection, "_renew_log", lambda *_: None)
    assert found(tmp_path, faults, repeated, dies=True, cuts=16) >= 3

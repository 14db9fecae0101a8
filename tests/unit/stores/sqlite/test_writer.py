"""The writer under real faults: a full disk, a locked file, an I/O error, an unknown outcome, a kill."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from onstage.core.commit import Commit, RefusedBecause, Transaction
from onstage.core.journal import Transacted
from onstage.errors import StoreUnavailable
from onstage.ports.clock import SystemClock
from onstage.ports.store import BatchOutcome, Declaration
from onstage.stores.sqlite import writer as module
from onstage.stores.sqlite.connection import open_writer, read_meta
from onstage.stores.sqlite.store import SqliteStore
from onstage.stores.sqlite.writer import BATCH_COMMITS_MAX, Writer
from onstage.testing.commit_script import DECLARATION, CommitScript
from onstage.testing.inline_workers import InlineWorkers

BILL = "shop.bill"
TABLES = """
    CREATE TABLE stock (item TEXT PRIMARY KEY, body);
    CREATE TABLE line (item TEXT REFERENCES stock DEFERRABLE INITIALLY DEFERRED);
"""
TABLED = Declaration(DECLARATION.types, DECLARATION.handlers, {}, b"", (TABLES,))


class HandWorkers:
    """Workers moved by hand: `later` holds what was submitted with a delay."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], None], *, delay_s: float = 0.0) -> None:
        if delay_s:
            self.later.append(work)
            return
        work()

    def post(self, callback: Callable[[], None]) -> None:
        callback()

    async def run(self, function: Callable[[], Any]) -> Any:
        return function()

    async def close(self) -> None:
        self.later.clear()


class Faults:
    """What is to fail next: `sync` counts syncs, `statements` maps the first word of a statement to its failures."""

    def __init__(self) -> None:
        self.sync = 0
        self.opening = 0
        self.instead: dict[str, Exception] = {}
        self.behind: dict[str, Exception] = {}


class FaultyFile(apsw.VFSFile):
    def __init__(self, faults: Faults, name: Any, flags: list[int]) -> None:
        self.faults = faults
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self.faults.sync:
            self.faults.sync -= 1
            raise apsw.IOError("fsync failed")
        super().xSync(flags)


class FaultyDisk(apsw.VFS):
    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        super().__init__("faulty", "")

    def xOpen(self, name: Any, flags: list[int]) -> FaultyFile:  # noqa: N802
        return FaultyFile(self.faults, name, flags)


class FaultyConnection(apsw.Connection):
    faults = Faults()

    def execute(self, sql: str, *bindings: Any, **options: Any) -> apsw.Cursor:
        word = sql.split(" ", 1)[0]
        if error := self.faults.instead.pop(word, None):
            raise error
        cursor = super().execute(sql, *bindings, **options)
        if error := self.faults.behind.pop(word, None):
            raise error
        return cursor


class Desk:
    """A writer on a real file, the faults it will meet, and what it reported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults = FaultyConnection.faults = Faults()
        self.disk = FaultyDisk(self.faults)
        self.workers = HandWorkers()
        self.outcomes: list[BatchOutcome] = []
        self.position = 0
        self.probed: Callable[[str], None] = lambda _: None
        opened = asyncio.run(self._prepare())
        self.script = CommitScript(opened)
        self.writer = self.another()
        self.writer.epoch, self.writer.incarnation = opened.epoch, opened.incarnations[-1][1]

    def another(self) -> Writer:
        options: dict[str, Any] = {"monotonic": lambda: 0.0, "probe": self._probe}
        return Writer(self.reopen, self.workers, self.outcomes.append, **options)

    def _probe(self, at: str) -> None:
        self.probed(at)

    async def _prepare(self) -> Any:
        store = SqliteStore(self.path, clock=SystemClock(), workers=InlineWorkers())
        opened = await store.open(TABLED)
        await store.close()
        return opened

    def reopen(self) -> apsw.Connection:
        if self.faults.opening:
            self.faults.opening -= 1
            raise StoreUnavailable("the disk is away")
        connection = FaultyConnection(str(self.path), vfs="faulty")
        connection.set_busy_timeout(10)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.pragma(*setting.split(" = "))
        return connection

    def put(self, *commits: Commit) -> None:
        for commit in commits:
            self.position += 1
            commit.position = self.position
        self.writer.hand_over(list(commits))

    def again(self) -> None:
        waiting, self.workers.later[:] = self.workers.later[:], []
        for work in waiting:
            work()

    def refused(self) -> list[tuple[int, str]]:
        return [(r.commit.position, r.because) for outcome in self.outcomes for r in outcome.refused]

    def rows(self, sql: str) -> list[Any]:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        found = connection.execute(sql).fetchall()
        connection.close()
        return [row[0] if len(row) == 1 else row for row in found]

    def events(self) -> list[int]:
        return self.rows("SELECT n FROM onstage_event ORDER BY n")

    def transact(self, root: Commit, sql: str, *bindings: Any) -> Commit:
        def run(connection: Any) -> Transacted:
            connection.execute(sql, bindings)
            return Transacted("tx#0", 0, b"", 0)

        return self.script.step(root, BILL, transaction=Transaction(run))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.writer.close()
    desk.disk.unregister()


def assert_dense(desk: Desk) -> None:
    seqs: dict[int, list[int]] = {}
    for shard, seq, count in desk.rows("SELECT shard, seq, count FROM onstage_receipt ORDER BY position"):
        seqs.setdefault(shard, []).extend(range(seq, seq + count))
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())


def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_space(desk: Desk) -> None:
    pages = desk.writer.connection.pragma("page_count")
    desk.writer.connection.pragma("max_page_count", pages)
    desk.put(*(desk.script.root(BILL) for _ in range(300)))
    assert desk.writer.trouble is not None
    assert desk.writer.trouble.splitlines()[0] == "the disk is full"
    assert "to do" in desk.writer.trouble
    desk.put(desk.script.root(BILL))
    desk.again()
    assert (desk.outcomes, desk.events()) == ([], [])
    desk.writer.connection.pragma("max_page_count", pages + 1_000)
    desk.again()
    assert desk.writer.trouble is None
    assert desk.events() == list(range(1, 302))
    assert [outcome.position for outcome in desk.outcomes] == [301]
    assert (desk.refused(), desk.workers.later) == ([], [])
    assert_dense(desk)


def test_a_full_disk_inside_a_transaction_is_not_the_users_fault(desk: Desk) -> None:
    root = desk.script.root(BILL)
    pages = desk.writer.connection.pragma("page_count")
    desk.writer.connection.pragma("max_page_count", pages + 5)
    desk.put(root, desk.transact(root, "INSERT INTO stock VALUES ('a', zeroblob(400000))"))
    assert desk.writer.trouble is not None
    assert desk.writer.trouble.startswith("the disk is full")
    assert desk.outcomes == []
    desk.writer.connection.pragma("max_page_count", pages + 1_000)
    desk.again()
    assert desk.rows("SELECT item FROM stock") == ["a"]
    assert desk.outcomes[0].results == {2: Transacted("tx#0", 0, b"", 0)}


def test_a_locked_file_is_waited_for(desk: Desk) -> None:
    other = apsw.Connection(str(desk.path))
    other.execute("BEGIN IMMEDIATE")
    desk.put(desk.script.root(BILL))
    assert desk.writer.trouble is not None
    assert desk.writer.trouble.startswith("the store is locked")
    desk.again()
    assert desk.outcomes == []
    other.execute("ROLLBACK")
    desk.again()
    assert (desk.events(), desk.writer.trouble) == ([1], None)
    other.close()


def test_a_failed_fsync_repeats_the_batch_on_a_fresh_connection(desk: Desk) -> None:
    desk.put(desk.script.root(BILL))
    old = desk.writer.connection
    desk.faults.sync = 1
    desk.put(desk.script.root(BILL), desk.script.root(BILL))
    assert desk.writer.trouble is not None
    assert "to do: check the disk" in desk.writer.trouble
    assert [outcome.position for outcome in desk.outcomes] == [1]
    desk.again()
    assert desk.writer.connection is not old
    assert desk.events() == [1, 2, 3]
    assert (desk.refused(), desk.writer.trouble) == ([], None)
    assert_dense(desk)


@pytest.mark.parametrize("error", [apsw.FullError("no room for the checkpoint"), apsw.BusyError("somebody reads")])
def test_a_commit_that_reports_trouble_after_the_deed_is_not_applied_twice(desk: Desk, error: Exception) -> None:
    desk.faults.behind["COMMIT"] = error
    desk.put(desk.script.root(BILL))
    assert (desk.events(), desk.outcomes) == ([1], [])
    desk.again()
    assert [outcome.position for outcome in desk.outcomes] == [1]
    assert desk.rows("SELECT count(*) FROM onstage_receipt") == [1]
    assert (desk.refused(), desk.writer.trouble) == ([], None)
    assert_dense(desk)


@pytest.mark.parametrize("tries", [0, 3])
def test_a_commit_of_unknown_outcome_is_not_applied_twice(desk: Desk, tries: int) -> None:
    roots = [desk.script.root(BILL) for _ in range(3)]
    bad = desk.script.go_on(99 << 16 | 1, 99)
    desk.put(roots[0])
    desk.faults.behind["COMMIT"] = apsw.IOError("the cable was pulled")
    desk.faults.opening = tries
    paid = desk.transact(roots[1], "INSERT INTO stock VALUES ('a', 1)")
    desk.put(roots[1], bad, paid)
    assert [outcome.position for outcome in desk.outcomes] == [1]
    desk.put(roots[2])
    for _ in range(tries + 1):
        desk.again()
    assert desk.events() == [1, 2, 3]
    assert desk.refused() == [(3, RefusedBecause.CONFLICT)]
    assert [outcome.position for outcome in desk.outcomes] == [1, 4, 5]
    assert desk.outcomes[1].results == {4: Transacted("tx#0", 0, b"", 0)}
    assert desk.writer.trouble is None
    assert_dense(desk)


def test_a_commit_that_did_not_happen_is_repeated(desk: Desk) -> None:
    desk.faults.instead["COMMIT"] = apsw.IOError("the cable was pulled")
    desk.put(desk.script.root(BILL))
    desk.again()
    assert (desk.events(), desk.refused()) == ([1], [])


def test_a_rollback_that_fails_costs_the_connection_and_no_commit(desk: Desk) -> None:
    old = desk.writer.connection
    desk.faults.instead |= {"COMMIT": apsw.FullError("full"), "ROLLBACK": apsw.IOError("broken")}
    desk.put(desk.script.root(BILL), desk.script.root(BILL))
    desk.again()
    assert desk.writer.connection is not old
    assert (desk.events(), desk.refused(), desk.writer.trouble) == ([1, 2], [], None)


def test_a_lost_connection_refuses_nobody(desk: Desk) -> None:
    desk.writer.connection.close()
    desk.put(desk.script.root(BILL))
    desk.again()
    assert (desk.events(), desk.refused()) == ([1], [])


def test_a_damaged_file_refuses_nobody(desk: Desk) -> None:
    desk.faults.instead["COMMIT"] = apsw.CorruptError("database disk image is malformed")
    desk.put(desk.script.root(BILL))
    assert desk.writer.trouble is not None
    assert desk.writer.trouble.startswith("the store is damaged")
    assert desk.refused() == []


def test_a_zombie_writes_nothing_at_all(desk: Desk) -> None:
    connection = open_writer(desk.path, "FULL")
    desk.put(desk.script.root(BILL))
    connection.execute("INSERT INTO onstage_incarnation VALUES (99, 'next', 2, 0)")
    connection.execute("UPDATE onstage_meta SET value = 'next:7' WHERE name = 'batch'")
    desk.put(desk.script.root(BILL), desk.script.root(BILL))
    assert desk.refused() == [(2, RefusedBecause.STALE_EPOCH), (3, RefusedBecause.STALE_EPOCH)]
    assert desk.events() == [1]
    assert read_meta(connection, "batch") == "next:7"
    connection.close()


def test_one_bad_commit_among_many_is_found_by_halving(desk: Desk) -> None:
    roots = [desk.script.root(BILL) for _ in range(64)]
    desk.put(*roots)
    commits = [desk.transact(root, "INSERT INTO stock VALUES (?, 1)", str(root.process)) for root in roots]
    commits[41] = desk.transact(roots[41], "INSERT INTO line VALUES ('missing')")
    desk.put(*commits)
    assert desk.refused() == [(64 + 42, RefusedBecause.USER)]
    assert len(desk.rows("SELECT item FROM stock")) == 63
    positions = [outcome.position for outcome in desk.outcomes]
    assert positions == sorted(positions)
    assert len(positions) < 12
    assert desk.writer.commits == 128
    assert_dense(desk)


def test_refused_positions_are_forgotten_only_when_nobody_can_descend_from_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FELLED_MAX", 10)
    for _ in range(50):
        desk.put(desk.script.go_on(99 << 16 | 1, 99))
    assert len(desk.writer._felled) <= 20  # noqa: SLF001
    desk.put(desk.script.root(after=(50,)))
    assert desk.refused()[-1] == (51, RefusedBecause.FELLED)


def test_a_closed_writer_leaves_the_rest_of_the_queue_alone(desk: Desk) -> None:
    desk.faults.sync = 1
    desk.put(desk.script.root(BILL))
    desk.writer.close()
    desk.again()
    desk.put(desk.script.root(BILL))
    assert (desk.outcomes, desk.events()) == ([], [])


def test_a_batch_is_bounded_and_the_rest_follows_in_order(desk: Desk) -> None:
    desk.faults.instead["BEGIN"] = apsw.BusyError("locked")
    for _ in range(3 * BATCH_COMMITS_MAX // 500):
        desk.put(*(desk.script.root(BILL) for _ in range(500)))
    assert desk.outcomes == []
    desk.again()
    first = BATCH_COMMITS_MAX + 500  # what was to be repeated, and a batch's worth
    assert [outcome.position for outcome in desk.outcomes] == [first, first + BATCH_COMMITS_MAX, 3 * BATCH_COMMITS_MAX]
    assert_dense(desk)
    assert len(desk.events()) == 3 * BATCH_COMMITS_MAX


@pytest.mark.parametrize(("boundary", "survive"), [("before", 1), ("written", 1), ("after", 3)])
def test_a_kill_at_a_boundary_leaves_all_of_the_batch_or_nothing(desk: Desk, boundary: str, survive: int) -> None:
    desk.put(desk.script.root(BILL))
    desk.probed = lambda at: desk.writer.close() if at == boundary else None
    desk.put(desk.script.root(BILL), desk.script.root(BILL))
    desk.again()
    assert len(desk.events()) == survive
    assert desk.refused() == []


def test_a_writer_that_fails_where_nobody_expects_it_writes_and_tells_nothing_more(desk: Desk) -> None:
    desk.put(desk.script.root(BILL))

    def fail(at: str) -> None:
        if at == "after":
            raise RuntimeError("a bug behind the commit")

    desk.probed = fail
    with pytest.raises(RuntimeError, match="a bug behind the commit"):
        desk.put(desk.script.root(BILL))
    desk.probed = lambda _: None
    desk.put(desk.script.root(BILL))
    assert [outcome.position for outcome in desk.outcomes] == [1]
    assert len(desk.events()) == 2
    assert "restart the node" in str(desk.writer.trouble)

"""The contract of a store's transactions: a user's function inside a commit, on the store's own connection.

A store without transactions refuses such a commit; then the other tests here have nothing to ask and pass at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from onstage.core.commit import Commit, Refusal, RefusedBecause, Transaction
from onstage.core.journal import Transacted
from onstage.events.receipt import Status
from onstage.ports.store import Declaration
from onstage.testing.commit_script import DECLARATION
from onstage.testing.store_trial import StoreMaker, Trial, played

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["StoreTransactions"]

USER, BILL, PACK = RefusedBecause.USER, "shop.bill", "shop.pack"
TABLES = """
    CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, amount INTEGER CHECK (amount >= 0));
    CREATE TABLE IF NOT EXISTS line (item TEXT REFERENCES stock DEFERRABLE INITIALLY DEFERRED);
"""
WITH_TABLES = Declaration(DECLARATION.types, DECLARATION.handlers, {}, b"tables", (TABLES,))
FORBIDDEN = (
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "SAVEPOINT mine",
    "ATTACH ':memory:' AS other",
    "PRAGMA foreign_keys = OFF",
    "DELETE FROM onstage_event",
    "INSERT INTO onstage_meta VALUES ('batch', 1)",
    "UPDATE Onstage_Process SET open = 0",
    "DROP TABLE onstage_entry",
    "ALTER TABLE onstage_entry RENAME TO mine",
    "CREATE INDEX mine ON onstage_event (key)",
    "CREATE TRIGGER mine AFTER INSERT ON onstage_event BEGIN DELETE FROM stock; END",
    "CREATE TABLE onstage_mine (x)",
)
SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000000) SELECT count(*) FROM n",
    "INSERT INTO line WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000000) SELECT i FROM n",
)


def with_transactions(test: Callable[[Any, Trial], Awaitable[None]]) -> Callable[[Any], None]:
    """Play the test on a store that has transactions, with the tables of `WITH_TABLES`."""

    async def only_then(self: StoreMaker, trial: Trial) -> None:
        if trial.store.features.transactions:
            await trial.begin_again(WITH_TABLES)
            await test(self, trial)

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(only_then, name, getattr(test, name))
    return played(only_then)


class StoreTransactions(StoreMaker):
    """What the function did is durable exactly with its journal entry, or not at all."""

    @played
    async def test_a_store_without_transactions_says_so(self, trial: Trial) -> None:
        """The commit is refused with what, why and what to do; nothing of it is written."""
        root = trial.script.root(BILL)
        commit = transact(trial, root, "SELECT 1")
        _, answer = await trial.put(root, commit)
        if trial.store.features.transactions:
            assert isinstance(answer, Transacted)
            return
        assert isinstance(answer, Refusal)
        assert answer.because == USER
        assert len(str(answer.error).splitlines()) == 3
        assert (await trial.digest_and_open(root.process))[1] == 1

    @with_transactions
    async def test_the_result_is_recorded_in_the_same_commit(self, trial: Trial) -> None:
        """The entry is the last of the commit's entries, and is answered also to those who ask late."""
        root = trial.script.root(BILL)
        commit = transact(trial, root, "INSERT INTO stock VALUES ('a', 3) RETURNING amount")
        answers = await trial.put(root, commit)
        assert answers[1] == Transacted("tx#0", 0, b"(3,)", 0)
        assert await trial.settled(commit.position) == answers[1]
        stored = await trial.store.reader.execution(commit.execution)
        assert stored is not None
        assert (stored.entries, stored.execution.length) == ((answers[1],), 1)
        assert await rows(trial, "SELECT * FROM stock") == [("a", 3)]

    @with_transactions
    async def test_an_exception_refuses_the_commit_and_leaves_no_trace(self, trial: Trial) -> None:
        """Neither in the user's tables nor in the store's; the rest of the batch is written."""
        root, other = trial.script.root(BILL, PACK), trial.script.root(BILL)
        failure = ValueError("sold out")
        bad = transact(trial, root, "INSERT INTO stock VALUES ('a', 1)", raises=failure)
        good = transact(trial, root, "INSERT INTO stock VALUES ('b', 1)", handler=PACK)
        answers = await trial.put(root, bad, good, other)
        assert isinstance(answers[1], Refusal)
        assert (answers[1].because, answers[1].error) == (USER, failure)
        assert isinstance(answers[2], Transacted)
        assert await rows(trial, "SELECT item FROM stock") == [("b",)]
        assert await trial.store.reader.process(other.process) is not None
        stored = await trial.store.reader.execution(bad.execution)
        assert stored is not None
        assert (stored.entries, stored.execution.status) == ((), Status.READY)

    @with_transactions
    async def test_a_constraint_refuses_only_its_own_commit(self, trial: Trial) -> None:
        """Checked at once."""
        root = trial.script.root(BILL, PACK)
        bad = transact(trial, root, "INSERT INTO stock VALUES ('a', -1)")
        good = transact(trial, root, "INSERT INTO stock VALUES ('b', 1)", handler=PACK)
        assert await trial.why(root, bad, good) == [None, USER, None]

    @with_transactions
    async def test_a_deferred_constraint_refuses_only_its_own_commit(self, trial: Trial) -> None:
        """It is found at COMMIT, when the whole batch hangs on it: the others survive, its descendants do not."""
        roots = [trial.script.root(BILL) for _ in range(9)]
        await trial.put(*roots)
        commits = [transact(trial, root, "INSERT INTO stock VALUES (hex(randomblob(8)), 1)") for root in roots]
        commits[4] = transact(trial, roots[4], "INSERT INTO line VALUES ('missing')")
        for commit in commits[:5]:
            trial.store.append(commit)
        child = trial.script.root(after=(commits[4].position,))
        assert await trial.why(child, *commits[5:]) == [RefusedBecause.FELLED, None, None, None, None]
        refused = [refusal.commit.position for outcome in trial.outcomes for refusal in outcome.refused]
        assert refused == [commits[4].position, child.position]
        assert len(await rows(trial, "SELECT item FROM stock")) == 8
        assert await rows(trial, "SELECT item FROM line") == []
        assert [outcome.position for outcome in trial.outcomes] == sorted(o.position for o in trial.outcomes)

    @with_transactions
    async def test_what_is_not_the_users_business_is_refused(self, trial: Trial) -> None:
        """Ending the commit, other files, settings, and writing to the engine's tables: with what, why, what to do."""
        root = trial.script.root(BILL)
        await trial.put(root)
        for sql in FORBIDDEN:
            answer = (await trial.put(transact(trial, root, sql)))[0]
            assert isinstance(answer, Refusal), sql
            assert isinstance(answer.error, PermissionError), (sql, answer.error)
            assert len(str(answer.error).splitlines()) == 3
        assert isinstance((await trial.put(transact(trial, root, "SELECT count(*) FROM onstage_event")))[0], Transacted)

    @with_transactions
    async def test_a_slow_transaction_is_stopped(self, trial: Trial) -> None:
        """After one second; a slow write, which undoes the whole batch with it, takes no other commit along."""
        root = trial.script.root(BILL, PACK)
        await trial.put(root)
        for slow in SLOW:
            bad = transact(trial, root, slow)
            before, late = trial.script.root(), trial.script.root()
            answers = await trial.put(before, bad, late)
            assert [getattr(answer, "because", None) for answer in answers] == [None, USER, None]
            assert isinstance(answers[1], Refusal)
            assert isinstance(answers[1].error, TimeoutError)
        assert await rows(trial, "SELECT * FROM line") == []

    @with_transactions
    async def test_a_statement_that_rolls_everything_back_spoils_nothing_else(self, trial: Trial) -> None:
        """OR ROLLBACK ends the transaction around it; whatever the function does after that is not written."""
        root, other = trial.script.root(BILL, PACK), trial.script.root(BILL)
        await trial.put(root, other)
        good = transact(trial, other, "INSERT INTO stock VALUES ('a', 1)")
        bad = transact(trial, root, "INSERT OR ROLLBACK INTO stock VALUES ('a', -1)", "INSERT INTO line VALUES (NULL)")
        also = transact(trial, root, "INSERT INTO stock VALUES ('b', 1)", handler=PACK)
        assert await trial.why(good, bad, also) == [None, USER, None]
        assert await rows(trial, "SELECT item FROM stock") == [("a",), ("b",)]
        assert await rows(trial, "SELECT * FROM line") == []

    @with_transactions
    async def test_a_half_read_statement_does_not_hold_the_batch(self, trial: Trial) -> None:
        """The exception's traceback keeps it alive; the batch is written all the same."""
        root = trial.script.root(BILL, PACK)

        def half(connection: Any) -> Transacted:
            cursor = connection.execute("INSERT INTO stock VALUES ('a', 1), ('b', 2) RETURNING item")
            raise LookupError(next(iter(cursor)))

        bad = trial.script.step(root, BILL, transaction=Transaction(half))
        good = transact(trial, root, "INSERT INTO stock VALUES ('c', 1)", handler=PACK)
        assert await trial.why(root, bad, good) == [None, USER, None]
        assert await rows(trial, "SELECT item FROM stock") == [("c",)]

    @with_transactions
    async def test_the_connection_ends_with_the_function(self, trial: Trial) -> None:
        """Who keeps it cannot write behind the engine's back."""
        root, kept = trial.script.root(BILL), []

        def keep(connection: Any) -> Transacted:
            kept.append(connection)
            return Transacted("tx#0", 0, b"", 0)

        await trial.put(root, trial.script.step(root, BILL, transaction=Transaction(keep)))
        try:
            kept[0].execute("INSERT INTO stock VALUES ('a', 1)")
        except PermissionError:
            assert await rows(trial, "SELECT * FROM stock") == []
            return
        raise AssertionError("the connection still works")

    @with_transactions
    async def test_leaving_the_interpreter_is_refused(self, trial: Trial) -> None:
        """`sys.exit` in a transaction is the user's error, and no end of the writer."""
        root = trial.script.root(BILL)
        bad = transact(trial, root, "SELECT 1", raises=SystemExit(1))
        assert await trial.why(root, bad, trial.script.root()) == [None, USER, None]


def transact(
    trial: Trial, root: Commit, *statements: str, handler: str = BILL, raises: BaseException | None = None
) -> Commit:
    """A commit that runs the statements, ignoring what they raise but for the first, and answers the first's row."""
    run = partial(_run, statements, raises)
    return trial.script.step(root, handler, transaction=Transaction(run), status=int(Status.RUNNING))


def _run(statements: tuple[str, ...], raises: BaseException | None, connection: Any) -> Transacted:
    failure, row = raises, None
    for statement in statements:
        try:
            row = next(iter(connection.execute(statement)), row)
        except Exception as error:  # noqa: BLE001  a careless user goes on
            failure = failure or error
    if failure is not None:
        raise failure
    return Transacted("tx#0", 0, repr(row).encode(), 0)


async def rows(trial: Trial, sql: str) -> list[tuple[Any, ...]]:
    """What the user's tables hold, read inside a transaction of its own."""
    root, found = trial.script.root(BILL), []

    def read(connection: Any) -> Transacted:
        found.extend(connection.execute(sql))
        return Transacted("tx#0", 0, b"", 0)

    await trial.put(root, trial.script.step(root, BILL, transaction=Transaction(read)))
    return found

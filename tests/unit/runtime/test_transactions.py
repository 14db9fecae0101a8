"""Transactions in the engine's own commit: what they may do, what they leave, and what reaches the handler."""

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.unit.runtime.playhouse import Approved, Paid, Placed, playing

from onstage import Reject, Retry, Service, emit, now, step, transaction, wait
from onstage.errors import StepFailed
from onstage.events.receipt import Status
from onstage.ports.store import Connection

TABLES = "CREATE TABLE IF NOT EXISTS booking (order_id TEXT PRIMARY KEY, seats INTEGER CHECK (seats > 0))"


class CardDeclined(Exception):
    pass


@step
async def charge_inside() -> None: ...


def emit_inside() -> None:
    emit(Paid("o1"))


def with_bookings(path: Path, fn: Any, *, give_up_on: Any = (), catch: Any = ()) -> tuple[str, list[Any], list[Any]]:
    """Play a handler with one transaction on a file: why it is aside, what it caught, what is in the table."""
    shop, caught = Service("shop", tables=TABLES), list[Any]()
    book = transaction(give_up_on=give_up_on)(fn)

    @shop.on(Placed, retry=Retry(1))
    async def take(e: Placed) -> Paid:
        try:
            return Paid(e.id, str(await book(e.id)))
        except catch as error:
            caught.append(error)
            return Paid(e.id, "failed")

    async def story() -> tuple[str, list[Any], list[Any]]:
        async with playing(shop, on=path / "shop.db") as house:
            process = await house.emit(Placed("o1"))

            async def told() -> bool:
                return (await process.verdict()).status in ("stuck", "dead end")

            await house.until(told)
            left = await house.executions(Status.PARKED)
            why = left[0].error or "" if left else ""
            reader = apsw.Connection(str(path / "shop.db"))
            rows = reader.execute("SELECT order_id, seats FROM booking").fetchall()
            reader.close()
            return why, caught, rows

    return asyncio.run(story())


def booked(db: Connection, order_id: str) -> int:
    db.execute("INSERT INTO booking VALUES (?, ?)", (order_id, 2))
    return 2


def test_a_transaction_commits_with_the_journal(tmp_path: Path) -> None:
    why, _, rows = with_bookings(tmp_path, booked)
    assert why == ""
    assert rows == [("o1", 2)]


def test_a_transaction_that_raises_leaves_nothing_and_arrives_as_stepfailed(tmp_path: Path) -> None:
    def fails(db: Connection, order_id: str) -> int:
        booked(db, order_id)
        raise ConnectionError("no")

    _, caught, rows = with_bookings(tmp_path, fails, catch=StepFailed)
    assert "ConnectionError: no" in str(caught[0])
    assert rows == []


def test_a_transactions_error_to_give_up_on_arrives_as_itself(tmp_path: Path) -> None:
    def fails(db: Connection, order_id: str) -> int:
        raise CardDeclined(order_id, "no cover")

    _, caught, _ = with_bookings(tmp_path, fails, give_up_on=[CardDeclined], catch=CardDeclined)
    assert caught[0].args == ("o1", "no cover")


def test_a_broken_constraint_arrives_as_stepfailed(tmp_path: Path) -> None:
    def breaks(db: Connection, order_id: str) -> None:
        db.execute("INSERT INTO booking VALUES (?, -1)", (order_id,))

    _, caught, rows = with_bookings(tmp_path, breaks, catch=StepFailed)
    assert "CHECK constraint failed" in str(caught[0])
    assert rows == []


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("COMMIT", "commit or rollback"),
        ("ROLLBACK", "commit or rollback"),
        ("SAVEPOINT mine", "savepoints"),
        ("ATTACH 'other.db' AS other", "attach"),
        ("PRAGMA synchronous = OFF", "pragmas"),
        ("DELETE FROM onstage_event", "writing to onstage_event"),
    ],
)
def test_a_transaction_may_not_touch_the_engine(tmp_path: Path, sql: str, what: str) -> None:
    def wrong(db: Connection, order_id: str) -> None:
        db.execute(sql)

    _, caught, _ = with_bookings(tmp_path, wrong, catch=StepFailed)
    assert what in str(caught[0])


def test_a_transaction_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    def endless(db: Connection, order_id: str) -> None:
        booked(db, order_id)
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")

    _, caught, rows = with_bookings(tmp_path, endless, catch=StepFailed)
    assert "a transaction took longer than 1 s" in str(caught[0])
    assert rows == []


@pytest.mark.parametrize("call", [charge_inside, emit_inside])
def test_a_durable_call_inside_a_transaction_is_refused(tmp_path: Path, call: Any) -> None:
    def nested(db: Connection, order_id: str) -> None:
        booked(db, order_id)
        call()

    why, _, rows = with_bookings(tmp_path, nested)
    assert "InsideStep" in why
    assert "(book#0)" in why or "(nested#0)" in why
    assert rows == []


def test_a_transactions_result_that_does_not_fit_is_the_programmers_error(tmp_path: Path) -> None:
    def wrong(db: Connection, order_id: str) -> int:
        booked(db, order_id)
        return "two"  # type: ignore[return-value]

    why, _, rows = with_bookings(tmp_path, wrong)
    assert "transaction wrong returned str, not what its annotation says" in why
    assert rows == []


def test_a_transaction_may_look_at_the_clock_and_reject(tmp_path: Path) -> None:
    def says_no(db: Connection, order_id: str) -> None:
        assert now().tzinfo is not None
        booked(db, order_id)
        raise Reject("sold out")

    why, _, rows = with_bookings(tmp_path, says_no)
    assert (why, rows) == ("", [])


def test_a_transaction_runs_once_over_a_replay(tmp_path: Path) -> None:
    shop, runs = Service("shop", tables=TABLES), list[int]()

    @transaction
    def book(db: Connection, order_id: str) -> int:
        runs.append(1)
        return booked(db, order_id)

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        seats = await book(e.id)
        await wait(Approved)
        return Paid(e.id, str(seats))

    async def story() -> None:
        async with playing(shop, on=tmp_path / "shop.db") as house:
            await house.until_verdict(await house.emit(Placed("o1")), "waiting")
        async with playing(shop, on=tmp_path / "shop.db") as house:
            process = await house.stage.process("o1")
            await house.emit(Approved("o1"), process=process)
            await process.verdict(timeout=5)
            assert (await house.events("shop.paid"))[0].data == b'{"id":"o1","by":"2"}'

    asyncio.run(story())
    assert runs == [1]

"""The intake table is made by one statement on each database."""

import sqlite3
from contextlib import closing

import psycopg

from onstage.embedding.intake_row import COLUMNS, TABLE, IntakeRow, ddl


def test_the_statement_makes_the_table_and_may_be_repeated(postgres_url: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(ddl("sqlite"))
        connection.execute(ddl("sqlite"))
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({TABLE})")]
    with psycopg.connect(postgres_url) as connection:
        connection.execute(ddl("postgresql"))
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
            (TABLE,),
        ).fetchall()
    assert columns == [name for (name,) in found] == ["n", *COLUMNS, "refused"]


def test_a_row_has_no_attributes_unless_told() -> None:
    assert IntakeRow(1, "a", "t", "{}").attributes is None

"""PostgreSQL for these tests: the server that `ONSTAGE_TEST_POSTGRES` names, or one of our own."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from onstage.embedding.intake_row import TABLE, ddl
from onstage.testing.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    named = os.environ.get("ONSTAGE_TEST_POSTGRES")
    if named:
        yield named
        return
    with PostgresServer() as server:
        yield server.url


@pytest.fixture
def postgres_url(server_url: str) -> Iterator[str]:
    """A database with an empty intake table and a table of the user's."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT)")
        connection.execute(ddl("postgresql"))
        yield server_url
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}, orders")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stores, whose nodes listen in it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path

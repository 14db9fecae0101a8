"""A PostgreSQL server for tests: it answers, keeps its cluster, and says what is missing."""

from pathlib import Path

import psycopg
import pytest

from onstage.errors import UsageError
from onstage.testing import postgres_server
from onstage.testing.postgres_server import PostgresServer, find_postgres


def test_a_server_answers_and_keeps_what_was_committed_when_it_is_killed() -> None:
    with PostgresServer() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (n INTEGER)")
            connection.execute("INSERT INTO kept VALUES (7)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_a_missing_server_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (find_postgres() / "initdb").exists()
    monkeypatch.setattr(postgres_server, "Path", lambda _: Path("/nonexistent"))
    monkeypatch.setattr(postgres_server.shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="apt-get install postgresql-15"):
        find_postgres()

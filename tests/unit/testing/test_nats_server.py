"""The server for tests: found, started, killed, paused and set back, by its own process id."""

import os
import socket
import sys
from pathlib import Path

import pytest

from onstage.errors import UsageError
from onstage.testing.nats_server import NatsServer, find_nats_server


def answers(server: NatsServer) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.3) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_executable_is_found() -> None:
    assert os.access(find_nats_server(), os.X_OK)


def test_the_environment_names_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONSTAGE_NATS_SERVER", sys.executable)
    assert find_nats_server() == sys.executable
    monkeypatch.setenv("ONSTAGE_NATS_SERVER", "/nowhere/nats-server")
    with pytest.raises(UsageError) as caught:
        find_nats_server()
    assert "/nowhere/nats-server" in str(caught.value)
    assert [line.strip().partition(":")[0] for line in str(caught.value).split("\n")[1:]] == ["why", "to do"]


def test_it_keeps_its_port_over_a_kill_and_is_gone_at_the_end(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "store") as server:
        port, pid = server.port, server.pid
        assert answers(server)
        server.kill()
        assert not exists(pid)
        assert not answers(server)
        server.start()
        assert server.port == port
        assert answers(server)
        server.restart()
        last = server.pid
    assert not exists(last)
    with pytest.raises(UsageError, match="does not run"):
        _ = server.pid
    server.stop()
    server.kill()


def test_a_paused_server_keeps_its_connections_and_says_nothing(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "store") as server:
        server.pause()
        assert not answers(server)
        server.resume()
        assert answers(server)
        server.pause()
        pid = server.pid
    assert not exists(pid), "a paused one is killed as well"


def test_its_store_is_copied_and_set_back_while_it_is_down(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "store")
    server.start()
    server.stop()
    (server.store_dir / "mark").write_text("old")
    server.snapshot(tmp_path / "copy")
    (server.store_dir / "mark").write_text("new")
    (server.store_dir / "later").write_text("new")
    server.restore(tmp_path / "copy")
    assert (server.store_dir / "mark").read_text() == "old"
    assert not (server.store_dir / "later").exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "store", config="nonsense {{\n")
    with pytest.raises(UsageError, match=r"does not start\n  why: .*Parse error"):
        server.start()
    with pytest.raises(UsageError, match="does not run"):
        _ = server.pid

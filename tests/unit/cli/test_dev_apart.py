"""`onstage dev --nats`: its port and its services. The processes run in tests/scenario/test_apart.py."""

import socket
from pathlib import Path

import pytest

from onstage.cli.dev_apart import kept_port
from onstage.cli.failures import Failure


def test_the_port_is_the_same_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "nats.port"
    assert kept_port(file) == kept_port(file) == int(file.read_text())


def test_a_port_that_somebody_has_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nats.port"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        file.write_text(f"{other.getsockname()[1]}\n")
        with pytest.raises(Failure, match="another `onstage dev --nats` runs here"):
            kept_port(file)

"""Getting in: what nats-py is told, when a secret is said, and what is missing."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from onstage.brokers.nats.address import Address
from onstage.brokers.nats.login import check_encryption, credentials, dispose, new_client, text_of
from onstage.errors import UsageError


class Line:
    """A writer whose line is encrypted or not, and which counts how often it was dropped."""

    def __init__(self, ssl_object: object) -> None:
        self.ssl_object = ssl_object
        self.transport = self
        self.aborted = 0

    def get_extra_info(self, name: str) -> object:
        return self.ssl_object if name == "ssl_object" else None

    def abort(self) -> None:
        self.aborted += 1


def client_on(line: Line) -> Any:
    client = new_client()
    client._transport = type("Transport", (), {"_io_writer": line})()  # noqa: SLF001
    return client


def test_a_user_a_token_and_nobody_log_in_differently() -> None:
    client = client_on(Line(None))
    user = credentials(Address.parse("nats://ann:secret@a"), client)
    assert (user["user"], user["password"]()) == ("ann", "secret")
    assert credentials(Address.parse("nats://tok@a"), client)["token"]() == "tok"
    assert credentials(Address.parse("nats://a"), client) == {}


def test_a_secret_is_said_on_an_encrypted_line_only() -> None:
    address = Address.parse("tls://ann:secret@a")
    assert credentials(address, client_on(Line(object())))["password"]() == "secret"
    with pytest.raises(UsageError, match="does not encrypt"):
        credentials(address, client_on(Line(None)))["password"]()
    with pytest.raises(UsageError, match="does not encrypt"):
        check_encryption(address, client_on(Line(None)))


def test_keys_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", None)
    for url in ("nats://a?creds=/c", "nats://a?nkey=/n"):
        with pytest.raises(UsageError, match="pip install nkeys"):
            credentials(Address.parse(url), client_on(Line(None)))
    monkeypatch.setitem(sys.modules, "nkeys", type(sys)("nkeys"))
    assert credentials(Address.parse("nats://a?creds=/c"), client_on(Line(None))) == {"user_credentials": "/c"}
    assert credentials(Address.parse("nats://a?nkey=/n"), client_on(Line(None))) == {"nkeys_seed": "/n"}


def test_the_client_library_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(UsageError, match=r"onstage\[nats\]"):
        new_client()


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    for file in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(UsageError, match="PEM"):
            credentials(Address.parse(f"tls://a?ca={file}"), client_on(Line(None)))


def test_a_connection_is_dropped_without_waiting_for_its_buffers() -> None:
    line = Line(None)
    asyncio.run(dispose(client_on(line)))
    assert line.aborted == 1
    asyncio.run(dispose(Client()))  # one that was never made


def test_an_error_says_something_on_one_line() -> None:
    assert text_of(ValueError("a\n  b")) == "a b"
    assert text_of(TimeoutError()) == "TimeoutError"

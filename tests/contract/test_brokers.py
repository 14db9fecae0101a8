"""Every broker under the one contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite(*(f"onstage.testing.broker_{part}" for part in ("log", "cursors", "service")))

from tests.contract.nats_maker import NatsMaker  # noqa: E402

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog  # noqa: E402
from onstage.brokers.sealed_broker import SealedBroker  # noqa: E402
from onstage.testing.broker_contract import BrokerContract  # noqa: E402
from onstage.testing.nats_server import NatsServer  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(Path(tmp_path_factory.mktemp("nats")) / "store") as server:
        TestNatsBroker.server = server
        yield server


class TestEmbeddedBroker(BrokerContract):
    def setup_method(self) -> None:
        self.logs: dict[str, EmbeddedLog] = {}

    def connect(self, namespace: str) -> EmbeddedBroker:
        return EmbeddedBroker(self.logs.setdefault(namespace, EmbeddedLog(namespace)))

    async def leave(self, namespace: str) -> None:
        self.logs[namespace].leave()

    async def come_back(self, namespace: str) -> None:
        self.logs[namespace].come_back()

    async def forget(self, namespace: str, cursor: str) -> None:
        self.logs[namespace].forget(cursor)

    async def drop(self, namespace: str, seq: int) -> None:
        self.logs[namespace].drop(seq)


class Reversed:
    """A codec that anybody could write and nobody should: it binds a payload to its place, and hides nothing."""

    key_id = "backwards"

    def encrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        return (data + associated)[::-1]

    def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        opened = data[::-1]
        if not opened.endswith(associated):
            raise ValueError(associated)
        return opened[: len(opened) - len(associated)]


class TestSealedBroker(TestEmbeddedBroker):
    """What wraps a broker is a broker."""

    def connect(self, namespace: str) -> SealedBroker:  # type: ignore[override]
        return SealedBroker(super().connect(namespace), Reversed())


class TestNatsBroker(NatsMaker, BrokerContract):
    pass

"""How the contract gets at a real NATS server, and what befalls it."""

import json

import nats

from onstage.brokers.nats.broker import NatsBroker
from onstage.testing.broker_trial import BrokerMaker
from onstage.testing.nats_server import NatsServer


class NatsMaker(BrokerMaker):
    """Connections to `server`, which is killed and started again on what it has stored."""

    server: NatsServer

    def connect(self, namespace: str) -> NatsBroker:
        return NatsBroker(f"{self.server.url}?namespace={namespace}", environ={})

    async def leave(self, namespace: str) -> None:
        self.server.kill()

    async def come_back(self, namespace: str) -> None:
        self.server.start()

    async def forget(self, namespace: str, cursor: str) -> None:
        await self.api(f"CONSUMER.DELETE.ONSTAGE_{namespace}.{cursor}")

    async def drop(self, namespace: str, seq: int) -> None:
        await self.api(f"STREAM.MSG.DELETE.ONSTAGE_{namespace}", {"seq": seq, "no_erase": True})

    async def api(self, subject: str, body: object = None) -> None:
        """Ask JetStream as an operator does, past the broker under trial."""
        connection = await nats.connect(self.server.url)
        reply = await connection.request(f"$JS.API.{subject}", json.dumps(body).encode() if body else b"", timeout=5)
        await connection.close()
        assert "error" not in json.loads(reply.data), reply.data

"""What a real NATS server says about itself, and what the doctor makes of it."""

import asyncio
from pathlib import Path

import pytest

from onstage.brokers.nats.address import Address
from onstage.brokers.nats.broker import NatsBroker
from onstage.brokers.nats.survey import Survey, survey
from onstage.cli.broker_findings import broker_findings
from onstage.errors import BrokerUnavailable
from onstage.ports.clock import SystemClock
from onstage.testing.nats_server import NatsServer


def ask(url: str) -> Survey:
    return asyncio.run(survey(Address.parse(url), SystemClock()))


async def make_log(url: str) -> None:
    broker = NatsBroker(url)
    await broker.open()
    await broker.close()


def test_a_server_is_asked_without_changing_it(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        before = ask(server.url)
        assert before.stream["error"]["err_code"] == 10059
        assert ask(server.url).stream == before.stream
        asyncio.run(make_log(server.url))
        found = ask(server.url)
        wanting = ask(f"{server.url}?namespace=other")
        assert "error" in wanting.stream
    assert found.version >= (2, 12, 7)
    assert found.max_payload == 4 << 20
    assert found.account["limits"]["max_storage"] == -1
    assert found.stream["config"]["name"] == "ONSTAGE_onstage"
    assert found.server == {}
    judged = {each.what: each for each in broker_findings(Address.parse(server.url), found)}
    assert all(each.is_well for each in judged.values()), judged
    assert "system account only" in judged["sync"].found
    asked_more = broker_findings(Address.parse(f"{server.url}?replicas=3&window=10m"), found)
    assert [each.what for each in asked_more if not each.is_well] == ["replicas", "duplicate window"]


def test_the_system_account_sees_how_often_the_server_syncs(tmp_path: Path) -> None:
    system, app = ("users = [{user: sys, password: s}]", "jetstream: enabled, users = [{user: a, password: b}]")
    users = f"accounts {{ SYS {{ {system} }}, APP {{ {app} }} }}\nsystem_account: SYS\n"
    with NatsServer(tmp_path / "nats", sync="always", config=users) as server:
        address = Address.parse(server.url.replace("//", "//sys:s@"))
        judged = {each.what: each for each in broker_findings(address, asyncio.run(survey(address, SystemClock())))}
        found = ask(server.url.replace("//", "//a:b@"))
    assert "sync_interval is always" in judged["sync"].found
    assert not judged["jetstream"].is_well  # that account has no log
    assert (found.server, "limits" in found.account) == ({}, True)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(BrokerUnavailable, match="no NATS server answers"):
        ask("nats://127.0.0.1:1")

"""What the doctor makes of the answers of a NATS server."""

from dataclasses import replace
from typing import Any

import pytest

from onstage.brokers.nats.address import Address
from onstage.brokers.nats.survey import Survey
from onstage.cli.broker_findings import broker_findings
from onstage.cli.finding import Finding

CONFIG = {"name": "ONSTAGE_onstage", "num_replicas": 1, "duplicate_window": 120 * 10**9, "max_consumers": 10_000}
WELL = Survey(
    (2, 14, 0),
    4 << 20,
    {"storage": 10, "limits": {"max_storage": -1, "max_consumers": -1}},
    {"config": CONFIG, "state": {"messages": 1, "bytes": 100, "consumer_count": 9}},
)


def judged(found: Survey, url: str = "nats://h") -> dict[str, Finding]:
    return {each.what: each for each in broker_findings(Address.parse(url), found)}


def stream(config: dict[str, Any] | None = None, **more: Any) -> Survey:
    return replace(WELL, stream={**WELL.stream, **more, "config": CONFIG | (config or {})})


def account(**limits: int) -> Survey:
    return replace(WELL, account={"storage": 950, "limits": limits})


def test_a_healthy_broker_has_no_problem_and_every_thing_is_named() -> None:
    found = judged(WELL)
    assert all(each.is_well and each.mend is None for each in found.values()), found
    assert list(found) == [
        *("broker", "broker version", "payload", "sync", "jetstream"),
        *("broker storage", "log", "replicas", "duplicate window", "readers"),
    ]


@pytest.mark.parametrize(
    ("version", "is_well"),
    [
        ((2, 10, 29), False),
        ((2, 11, 15), False),
        ((2, 11, 16), False),  # the holes are closed, but it has no atomic batches
        ((2, 12, 6), False),
        ((2, 12, 7), True),
        ((2, 13, 9), False),
        ((2, 14, 0), True),
        ((2, 15, 1), True),
        ((3, 0, 0), True),
    ],
)
def test_versions_have_a_floor_in_their_line(version: tuple[int, int, int], is_well: bool) -> None:
    finding = judged(replace(WELL, version=version))["broker version"]
    assert finding.is_well is is_well
    assert (finding.mend is None) is is_well


@pytest.mark.parametrize(
    ("found", "what", "says"),
    [
        (replace(WELL, max_payload=1 << 20), "payload", "max_payload is 1.0 MiB"),
        (replace(WELL, account={}), "jetstream", "nobody answers"),
        (replace(WELL, account={"error": {"description": "not enabled for account"}}), "jetstream", "not enabled"),
        (replace(WELL, stream={}), "log", "no answer"),
        (replace(WELL, stream={"error": {"err_code": 7, "description": "denied"}}), "log", "denied"),
        (stream(cluster={"name": "c", "replicas": []}), "replicas", "in a cluster"),
        (stream({"num_replicas": 3}, cluster={"replicas": [{"name": "n2", "current": False}]}), "replicas", "n2 is"),
        (stream({"duplicate_window": 10**9}), "duplicate window", "1 s, 120 s are asked for"),
        (stream({"max_consumers": 9}), "readers", "9 of 9"),
        (account(max_storage=-1, max_consumers=9), "readers", "9 of 9"),
        (account(max_storage=1000), "broker storage", "950 bytes of 1000 bytes"),
        (stream({"max_age": 86_400 * 10**9}), "retention", "older than 1 days"),
        (stream({"max_bytes": 105}), "retention", "100 of max_bytes 105"),
        (stream({"max_msgs": 1}), "retention", "1 of max_msgs 1"),
    ],
)
def test_what_is_wrong_is_found_with_a_mend(found: Survey, what: str, says: str) -> None:
    finding = judged(found)[what]
    assert not finding.is_well
    assert says in finding.found
    assert finding.mend
    assert [each.what for each in judged(found).values() if not each.is_well] == [what]


def test_a_namespace_without_a_log_is_no_problem() -> None:
    found = judged(replace(WELL, stream={"error": {"err_code": 10059, "description": "stream not found"}}))
    assert found["log"].is_well
    assert "the first node makes it" in found["log"].found


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"sync_always": True, "sync_interval": 1}, "survives a power cut"),
        ({"sync_interval": 120 * 10**9}, "sync_interval is 120 s: an acknowledgement may be lost"),
        ({}, "can be seen by users of the system account only"),
    ],
)
def test_what_an_acknowledgement_is_worth_is_said_as_far_as_it_is_known(config: dict[str, Any], says: str) -> None:
    assert says in judged(replace(WELL, server={"jetstream": {"config": config}}))["sync"].found


def test_a_broker_that_cannot_be_reached_is_a_problem_without_its_password(tiny: Any) -> None:
    result = tiny.run("doctor", "--broker", "nats://me:secret@127.0.0.1:1")
    assert result.exit_code == 1
    assert "no NATS server answers at nats://127.0.0.1:1" in result.stdout
    assert "to do: see that the broker runs" in result.stdout
    assert "secret" not in result.output

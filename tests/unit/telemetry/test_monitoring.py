"""Every metric that the dashboard or an alert names is exported by a node, with the labels it is asked for."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.unit.runtime.playhouse import Clock
from tests.unit.runtime.troupe import Play

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.embedding.intake_poller import IntakePoller
from onstage.runtime.measurements import measured
from onstage.runtime.node import Node
from onstage.runtime.observatory import Observatory
from onstage.runtime.observer_lag import observed
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.memory import MemoryStore
from onstage.telemetry.instruments import instruments
from onstage.telemetry.monitoring import monitoring_files
from onstage.telemetry.openmetrics import text

METRIC = re.compile(r"\bonstage_\w+")
BY = re.compile(r"by \(([\w, ]+)\)")
SELECTED = re.compile(r'[{,](\w+)=~?"')
FROM_PROMETHEUS = {"job", "instance", "le"}


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """All names that a node has, and the labels of each; those without a sample yet by what the source says."""
    names: dict[str, set[str]] = {}

    async def work() -> None:
        clock, workers = Clock(), ThreadWorkers()
        play = Play()
        telemetry = instruments(clock, counted=True)
        assert telemetry is not None
        node = Node(
            play.services,
            (play.order,),
            store=MemoryStore(clock=clock, workers=workers),
            clock=clock,
            workers=workers,
            broker=EmbeddedBroker(EmbeddedLog()),
            telemetry=telemetry,
        )
        await node.start()
        families = [*await measured(node), *IntakePoller(None, None).families()]  # type: ignore[arg-type]
        await node.close()
        observatory = Observatory(
            EmbeddedBroker(EmbeddedLog()), lambda: MemoryStore(clock=clock, workers=workers), clock
        )
        await observatory.start()
        own = {family.name for family in families}
        families += [family for family in await observed(observatory) if family.name not in own]
        await observatory.close()
        for family in families:
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
            for suffix in suffixes.get(family.kind, ("",)):
                names[family.name + suffix] = {key for sample in family.samples for key, _ in sample.labels}
        assert list(text_string_to_metric_families(text(families)))

    asyncio.run(work())
    return names


def expressions() -> list[str]:
    found = monitoring_files()
    dashboard: Any = json.loads(found["grafana/onstage.json"])
    rules: Any = yaml.safe_load(found["prometheus/alerts.yml"])
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return asked + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def test_every_metric_that_is_named_is_exported(exported: dict[str, set[str]]) -> None:
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(named) > 20
    assert named <= set(exported), f"not exported: {sorted(named - set(exported))}"


def test_every_metric_that_is_exported_is_on_the_dashboard(exported: dict[str, set[str]]) -> None:
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    derived = {name for name in exported if name.endswith(("_sum", "_count"))}
    assert set(exported) - derived <= named, sorted(set(exported) - derived - named)


def test_labels_that_are_asked_for_are_there(exported: dict[str, set[str]]) -> None:
    checked = 0
    for expression in expressions():
        (metric, *_) = METRIC.findall(expression)
        has = exported[metric]
        asked = {name.strip() for names in BY.findall(expression) for name in names.split(",")}
        asked |= set(SELECTED.findall(expression))
        if has:
            assert asked - FROM_PROMETHEUS <= has, expression
            checked += 1
    assert checked > 5


def test_rules_say_what_to_do() -> None:
    rules: Any = yaml.safe_load(monitoring_files()["prometheus/alerts.yml"])
    for rule in rules["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_page_lists_what_is_exported_with_its_labels(exported: dict[str, set[str]]) -> None:
    page = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()
    listed = dict(re.findall(r"^\| `(onstage_\w+)` \| \w+ \| ([^|]*)\|", page, re.MULTILINE))
    base = {re.sub(r"(?<=_seconds)_(bucket|sum|count)$", "", name): labels for name, labels in exported.items()}
    assert set(listed) == set(base)
    said = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in listed.items()}
    assert {name for name, labels in base.items() if labels - {"le"} - said[name]} == set()

"""The metrics of a real node as OpenTelemetry's own SDK collects them, from a thread and from the loop itself."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from onstage import App, Service, event
from onstage.ports.telemetry import Family
from onstage.runtime.measurements import measured
from onstage.stage import Stage
from onstage.telemetry import instruments, meters
from onstage.telemetry.meters import Meters, meter_provider, otel_name


@event("metered.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


shop = Service("shop")


@shop.on(Placed)
async def take(e: Placed) -> None:
    return


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    found = InMemoryMetricReader()
    provider = MeterProvider([found], shutdown_on_exit=False)
    for module in (instruments, meters):
        monkeypatch.setattr(module, "meter_provider", lambda: provider)
    yield found
    provider.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    data = reader.get_metrics_data()
    return (
        {}
        if data is None
        else {
            metric.name: [(dict(point.attributes or {}), point) for point in metric.data.data_points]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
    )


async def ended(stage: Stage, id: str) -> None:
    assert (await (await stage.emit(Placed(id))).verdict(timeout=10)).is_final


def test_everything_that_is_exported_as_text_is_given_to_the_provider(reader: InMemoryMetricReader) -> None:
    async def work() -> None:
        async with App(shop).run("memory:") as stage:
            await ended(stage, "a")
            found = await asyncio.to_thread(collected, reader)
            families = await measured(stage._node)  # noqa: SLF001  as the stage itself asks
            wanted = {otel_name(each.name)[0] for each in families if each.samples and each.kind != "info"}
            assert wanted <= set(found), wanted - set(found)
            ((attributes, point),) = found["onstage.executions"]
            assert (attributes, point.value) == ({"handler": "shop.take", "outcome": "done"}, 1)
            ((attributes, point),) = found["onstage.execution_duration"]
            assert (attributes, point.count) == ({"handler": "shop.take"}, 1)
            ((attributes, point),) = found["messaging.process.duration"]
            assert (attributes["messaging.consumer.group.name"], point.count) == ("shop.take", 1)

    asyncio.run(work())


def test_a_collection_on_the_loop_itself_does_not_wait_for_it(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "_SAME_S", 0.0)

    async def work() -> None:
        async with App(shop).run("memory:") as stage:
            await ended(stage, "a")
            collected(reader)
            for _ in range(20):
                await asyncio.sleep(0)
            ((_, point),) = collected(reader)["onstage.executions"]
            assert point.value == 1

    asyncio.run(work())


def test_a_stage_that_is_left_gives_nothing_more(reader: InMemoryMetricReader) -> None:
    async def work() -> None:
        async with App(shop).run("memory:") as stage:
            await ended(stage, "a")
        assert "onstage.ready" not in await asyncio.to_thread(collected, reader)

    asyncio.run(work())


def test_a_loop_that_is_stuck_or_gone_is_not_waited_for_long(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "_SAME_S", 0.0)
    monkeypatch.setattr(meters, "COLLECT_S_MAX", 0.01)
    provider = meters.meter_provider()
    kept: list[Meters] = []

    async def never() -> list[Family]:
        await asyncio.Event().wait()
        return []

    async def work() -> None:
        kept.append(Meters(provider, [Family("onstage_ready", "gauge", "Ready.", [])], never))
        assert "onstage.ready" not in await asyncio.to_thread(collected, reader)

    asyncio.run(work())
    assert "onstage.ready" not in collected(reader)
    kept[0].close()


def test_without_a_provider_nothing_is_counted() -> None:
    assert type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
    assert meter_provider() is None


def test_names_lead_back_to_those_of_the_table() -> None:
    assert otel_name("onstage_relay_lag_events") == ("onstage.relay_lag_events", "")
    assert otel_name("onstage_timer_late_seconds") == ("onstage.timer_late", "s")

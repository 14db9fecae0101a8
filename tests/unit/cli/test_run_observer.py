"""`onstage observe`: what it refuses. The process itself runs in tests/scenario/test_apart.py."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.troupe import touring

from onstage.cli.run_observer import metered
from onstage.telemetry import meters


def test_without_a_broker_it_says_how_to_name_one(tiny: Any) -> None:
    result = tiny.run("observe")
    assert result.exit_code == 2
    assert "which broker?" in result.stderr


def test_it_needs_a_file(tiny: Any) -> None:
    result = tiny.run("observe", "--broker", "nats://h", "--store", "memory:")
    assert result.exit_code == 2
    assert "memory: cannot be looked at" in result.stderr


def test_a_url_of_another_kind_is_refused(tiny: Any) -> None:
    result = tiny.run("observe", "--broker", "http://h", "--store", "sqlite:///view.db")
    assert result.exit_code == 2
    assert "http is no way to a NATS broker" in result.stderr


def test_how_far_it_is_behind_is_given_to_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)

    def values() -> dict[str, Any]:
        data = reader.get_metrics_data()
        assert data is not None
        found = data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: getattr(point, "value", None) for metric in found for point in metric.data.data_points}

    async def work() -> None:
        async with touring() as troupe:
            await troupe.verdict(await troupe.emit("shop", Placed("o1")))
            assert troupe.observatory is not None
            assert await metered(troupe.observatory) is None
            monkeypatch.setattr(meters, "meter_provider", lambda: provider)
            given = await metered(troupe.observatory)
            assert given is not None
            found = await asyncio.to_thread(values)
            given.close()
            assert found["onstage.observer_events"] > 0
            assert found["onstage.observer_lag_messages"] >= 0
            assert found["onstage.broker_connected"] == 1

    asyncio.run(work())
    provider.shutdown()

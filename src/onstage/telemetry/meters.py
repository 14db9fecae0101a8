"""The same metrics for OpenTelemetry, if the program has set a meter provider: nothing is sent that nobody collects.

Every metric has the name it has in OpenMetrics, with a dot behind the first word and its unit apart, so that an
exporter to Prometheus gives it the same name again: the dashboard and the rules fit both. Counters and gauges are read
when the provider collects, all of them at once, on the node's loop; durations are told as they become known.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final, final

from onstage.telemetry.conventions import GROUP, OPERATION_NAME, OPERATION_TYPE, SCHEMA_URL, SYSTEM, TRACER
from onstage.telemetry.counts import DURATIONS_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from onstage.ports.telemetry import Family

__all__ = ["COLLECT_S_MAX", "Meters", "meter_provider", "otel_name"]

COLLECT_S_MAX: Final = 2.0
"""How long a collection waits for the node's loop; after that it gets what was read last."""
_SAME_S: Final = 0.2
"""All instruments of one collection are served by one reading: what is not older than this is the same one."""
_DURATION: Final = "onstage_execution_duration_seconds"
PROCESS_DURATION: Final = "messaging.process.duration"
"""The metric of the messaging conventions for what a handler takes: here from its first start to its end."""


def meter_provider() -> Any:
    """The meter provider that the program has set; None if it has set none, or has no OpenTelemetry."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is None:
        return None
    found = metrics.get_meter_provider()
    return None if type(found).__name__ in ("_ProxyMeterProvider", "NoOpMeterProvider") else found


def otel_name(family: str) -> tuple[str, str]:
    """A metric's name and unit for OpenTelemetry: `onstage_timer_late_seconds` is `onstage.timer_late` in `s`."""
    name, unit = (family.removesuffix("_seconds"), "s") if family.endswith("_seconds") else (family, "")
    return name.replace("_", ".", 1), unit


@final
class Meters:
    """Gives the metrics of one node to a meter provider, until it is closed. Made on the node's loop."""

    def __init__(
        self, provider: Any, families: Sequence[Family], read: Callable[[], Coroutine[Any, Any, Sequence[Family]]]
    ) -> None:
        """`families` are those that there are, `read` gives their values from time to time."""
        self._loop = asyncio.get_running_loop()
        self._read = read
        self._families = {family.name: family for family in families}
        self._at_s = float("-inf")
        self._is_open = True
        meter = provider.get_meter(TRACER, schema_url=SCHEMA_URL)
        for family in families:
            name, unit = otel_name(family.name)
            callback = self._callback(family.name)
            if family.kind == "counter":
                meter.create_observable_counter(name, [callback], unit=unit, description=family.help)
            elif family.kind == "gauge":
                meter.create_observable_gauge(name, [callback], unit=unit, description=family.help)
        name, unit = otel_name(_DURATION)
        advice = {"unit": unit, "explicit_bucket_boundaries_advisory": DURATIONS_S}
        self._duration = meter.create_histogram(
            name, description="From the first start of an execution to its end, waits included.", **advice
        )
        self._of_messaging = meter.create_histogram(
            PROCESS_DURATION, description="Duration of processing operation.", **advice
        )

    def ended(self, seconds: float, handler: str) -> None:
        """An execution has ended, durably."""
        if self._is_open:
            self._duration.record(seconds, {"handler": handler})
            said = {SYSTEM: "onstage", OPERATION_NAME: "process", OPERATION_TYPE: "process", GROUP: handler}
            self._of_messaging.record(seconds, said)

    def close(self) -> None:
        """Give nothing more: a meter provider forgets no instrument."""
        self._is_open = False
        self._families = {}

    def _callback(self, name: str) -> Callable[[Any], Iterable[Any]]:
        from opentelemetry.metrics import Observation

        def observe(_: object) -> list[Observation]:
            self._refresh()
            family = self._families.get(name)
            return [] if family is None else [Observation(s.value, dict(s.labels)) for s in family.samples]

        return observe

    def _refresh(self) -> None:
        """Read anew, whichever thread asks; on the loop itself, which cannot wait, for the next collection."""
        if not self._is_open or self._loop.time() - self._at_s < _SAME_S:
            return
        self._at_s = self._loop.time()
        reading = self._taken()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            task = self._loop.create_task
            self._loop.call_soon_threadsafe(lambda: task(reading))
            return
        try:
            answer = asyncio.run_coroutine_threadsafe(reading, self._loop)
        except RuntimeError:  # the loop is closed
            reading.close()
            return
        try:
            answer.result(COLLECT_S_MAX)
        except (TimeoutError, CancelledError):
            answer.cancel()

    async def _taken(self) -> None:
        families = await self._read()
        if self._is_open:
            self._families = {family.name: family for family in families}

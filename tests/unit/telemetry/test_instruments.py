"""The telemetry of a node is made of what is wanted, and nothing is if nothing is wanted."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from onstage.core.commit import Commit
from onstage.core.identity import Identity
from onstage.ports.clock import SystemClock
from onstage.ports.store import BatchOutcome
from onstage.ports.telemetry import Telemetry
from onstage.telemetry import instruments as module
from onstage.telemetry.instruments import Instruments, instruments


async def invoke(*_: Any) -> str:
    return "done"


def test_without_a_reader_or_a_tracer_there_is_none() -> None:
    assert instruments(SystemClock(), counted=False) is None


def test_who_only_counts_runs_handlers_and_steps_as_they_are() -> None:
    counting = instruments(SystemClock(), counted=True)
    assert counting is not None
    told: Telemetry = counting
    told.begin({}, {}, Identity("s", ((1, "i"),)))
    told.appended(Commit(position=1))
    told.durable(BatchOutcome(1, [], {}, []))
    coroutine = invoke()
    assert told.run(None, coroutine, None) is coroutine
    coroutine.close()
    assert counting.traced(invoke) is invoke
    assert told.carried(1) is None
    assert "onstage_events" in [family.name for family in told.families()]


@pytest.mark.parametrize("extra", [None, b"", b"{}", b"no json", b'{"traceparent":5}', b'{"traceparent":"nonsense"}'])
def test_an_event_without_a_trace_begins_one(extra: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "provider", TracerProvider)
    tracing = instruments(SystemClock(), counted=False)
    assert isinstance(tracing, Instruments)
    tracing.begin({1: "h"}, {}, Identity("s", ((1, "i"),)))
    delivery = SimpleNamespace(id=65537, process=1, type=None, names=None, extra=extra)

    async def work() -> None:
        assert await tracing.run(delivery, invoke(), None) == "done"
        carried = tracing.carried(65537)
        assert carried is not None
        assert carried[0].startswith("00-")
        frame = SimpleNamespace(delivery=delivery)
        assert await tracing.traced(invoke)(SimpleNamespace(name="s"), frame, "s#0", ()) == "done"
        assert list(tracing.families()) == []

    asyncio.run(work())

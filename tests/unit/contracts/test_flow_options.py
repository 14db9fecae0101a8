"""What handlers and services declare about when executions run, and what is refused."""

from dataclasses import dataclass
from typing import Any

import pytest

from onstage.contracts.flow_options import BATCH_MAX, Flow
from onstage.contracts.service import Service
from onstage.errors import DefinitionError
from onstage.events.envelope import Envelope
from onstage.events.event import event
from onstage.events.rate import Rate


@event("flow-options.asked", key="id")
@dataclass(frozen=True)
class Asked:
    id: str
    tenant: str = ""
    urgency: int = 4


def declared(**options: Any) -> Flow | None:
    async def take(e: Asked) -> None: ...

    return Service("flow").on(Asked, **options)(take).flow


def declared_batch(**options: Any) -> Flow | None:
    async def take(events: list[Asked]) -> None: ...

    service: Any = Service("flow")
    flow: Flow | None = service.on(Asked, **options)(take).flow
    return flow


def test_a_handler_without_such_options_declares_no_flow() -> None:
    assert declared() is None
    assert declared(concurrency=7, key="tenant") is None


def test_what_is_declared_is_kept_as_plain_values() -> None:
    assert declared(rate="100/s", rate_per_key="1/m", priority=9, fair_by="tenant", retry_budget=0.2) == Flow(
        rate=Rate(100, 1.0), rate_per_key=Rate(1, 60.0), priority=9, fair_by="tenant", retry_budget=0.2
    )
    assert declared(priority="urgency") == Flow(priority_by="urgency")
    assert declared(debounce="5s", max_wait="1m") == Flow(debounce_s=5.0, max_wait_s=60.0)


def test_a_list_is_what_makes_a_batch_handler() -> None:
    assert declared_batch() == Flow(batch=100, batch_wait_s=1.0)
    assert declared_batch(batch=7, batch_wait="250ms") == Flow(batch=7, batch_wait_s=0.25)


def test_a_batch_handler_runs_one_batch_at_a_time_unless_it_says_otherwise() -> None:
    async def take(events: list[Asked]) -> None: ...

    service = Service("flow")
    assert service.on(Asked, batch=10)(take).concurrency == 1
    assert service.on(Asked, batch=10, concurrency=4, name="more")(take).concurrency == 4


def test_a_list_is_seen_in_an_annotation_that_is_text() -> None:
    async def take(events: "list[Asked]") -> None: ...

    assert Service("flow").on(Asked, batch=3)(take).flow == Flow(batch=3, batch_wait_s=1.0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"rate": "fast"}, "has rate='fast'"),
        ({"rate_per_key": "0/s"}, "has rate_per_key='0/s'"),
        ({"priority": 10}, "has priority=10"),
        ({"priority": True}, "has priority=True"),
        ({"priority": "weight"}, "has priority='weight'"),
        ({"fair_by": "customer"}, "has fair_by='customer'"),
        ({"debounce": "0s"}, "in debounce="),
        ({"max_wait": "5s"}, "has max_wait="),
        ({"debounce": "10s", "max_wait": "5s"}, "shorter than its debounce="),
        ({"retry_budget": 1.5}, "has retry_budget=1.5"),
        ({"batch": 10}, "has batch= and takes a single event"),
        ({"batch_wait": "1s"}, "has batch_wait= and takes a single event"),
    ],
)
def test_what_cannot_be_is_refused_in_three_lines(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint) as caught:
        declared(**options)
    assert "why: " in str(caught.value)
    assert "to do: " in str(caught.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch": 0}, "has batch=0"),
        ({"batch": BATCH_MAX + 1}, "has batch="),
        ({"batch_wait": "0s"}, "in batch_wait="),
        ({"debounce": "1s"}, "has debounce="),
        ({"fair_by": "tenant"}, "has fair_by="),
        ({"rate_per_key": "1/s"}, "has rate_per_key="),
        ({"key": "tenant"}, "has key="),
        ({"priority": "urgency"}, "has priority= of a field"),
    ],
)
def test_what_does_not_go_with_batches_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        declared_batch(**options)


def test_a_pattern_has_no_fields() -> None:
    async def take(e: Envelope) -> None: ...

    with pytest.raises(DefinitionError, match="a pattern handler gets envelopes of any type"):
        Service("flow").on("shop.>", fair_by="tenant")(take)


def test_a_service_has_places_and_a_rate_too() -> None:
    service = Service("flow", concurrency=50, rate="5/10s")
    assert (service.concurrency, service.rate) == (50, Rate(5, 10.0))
    assert (Service("plain").concurrency, Service("plain").rate) == (None, None)
    with pytest.raises(DefinitionError, match="service flow has concurrency=0"):
        Service("flow", concurrency=0)
    with pytest.raises(DefinitionError, match="service flow has rate='often'"):
        Service("flow", rate="often")

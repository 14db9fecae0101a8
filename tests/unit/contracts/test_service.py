"""Services and handlers: what a declaration becomes, and what is refused."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from onstage.contracts.service import Service
from onstage.errors import DefinitionError
from onstage.events.envelope import Envelope
from onstage.events.event import event


@event("shop.order-placed", key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    customer: str


@event("shop.reserved", key="order_id")
@dataclass(frozen=True)
class Reserved:
    order_id: str


@event("shop.sold-out", key="order_id")
@dataclass(frozen=True)
class SoldOut:
    order_id: str


class NotAnEvent:
    pass


async def reserve(e: OrderPlaced) -> Reserved | SoldOut:
    return Reserved(e.order_id)


async def later(e: OrderPlaced) -> "DefinedLater | None":
    return None


async def unknown(e: OrderPlaced) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821 - the point of it
    return None


async def wrong_result(e: OrderPlaced) -> int:
    return 1


def blocking(e: OrderPlaced) -> None: ...


async def two(e: OrderPlaced, db: object) -> None: ...


async def none() -> None: ...


async def keyword(*, e: OrderPlaced) -> None: ...


async def many(*e: OrderPlaced) -> None: ...


async def generator(e: OrderPlaced) -> AsyncIterator[Reserved]:
    yield Reserved(e.order_id)


@event("shop.defined-later")
@dataclass
class DefinedLater:
    x: int


def stock() -> Service:
    return Service("stock")


def declare(fn: Callable[..., Any], *triggers: Any, **options: Any) -> Callable[[], object]:
    return lambda: stock().on(*(triggers or (OrderPlaced,)), **options)(fn)


def twice() -> None:
    service = stock()
    service.on(OrderPlaced)(reserve)
    service.on(Reserved)(reserve)


Refused = tuple[Callable[[], object], str, str, str]
REFUSED: dict[str, Refused] = {
    "unregistered type": (
        declare(reserve, NotAnEvent),
        "react to NotAnEvent",
        "not an event",
        "@event above",
    ),
    "an object": (declare(reserve, 5), "react to 5", "not an event", "@event above"),
    "no trigger": (lambda: stock().on()(reserve), "no trigger", "empty", ".on("),
    "mixed": (declare(reserve, OrderPlaced, "a.>"), "react to 'a.>'", "alone", "of its own"),
    "two patterns": (declare(reserve, "a.>", "b.>"), "react to 'a.>'", "alone", "of its own"),
    "bad pattern": (declare(reserve, "a*"), "'a*'", "wildcard", "shop.>"),
    "wrong result": (declare(wrong_result), "return int", "not an event", "return events"),
    "not async": (declare(blocking), "not an async def", "awaits", "async def"),
    "not async but yields": (declare(generator), "not an async def", "awaits", "async def"),
    "two parameters": (declare(two), "exactly one event", "db: object", "resource"),
    "no parameter": (declare(none), "exactly one event", "()", "resource"),
    "keyword parameter": (declare(keyword), "exactly one event", "*, e:", "resource"),
    "many parameters": (declare(many), "exactly one event", "*e", "resource"),
    "wrong key": (declare(reserve, key="sku"), "key='sku'", "OrderPlaced", "order_id, customer"),
    "key of a pattern": (declare(reserve, "a.>", key="sku"), "key='sku'", "envelopes", "subject"),
    "no concurrency": (declare(reserve, concurrency=0), "concurrency=0", "from 1", "concurrency=100"),
    "odd concurrency": (declare(reserve, concurrency=True), "concurrency=True", "whole", "concurrency=100"),
    "on_failure": (declare(reserve, on_failure="stop"), "on_failure='stop'", "choice", "'block', 'park'"),
    "lane": (declare(reserve, lane="x"), "lane='x'", "choice", "'until-end', 'until-wait'"),
    "start": (declare(reserve, start="x"), "start='x'", "choice", "'new'"),
    "gating": (declare(reserve, gating="x"), "gating='x'", "choice", "True, False"),
    "timeout": (declare(reserve, timeout="soon"), "'soon' in timeout=", "number with a unit", '"30s"'),
    "no timeout": (declare(reserve, timeout=0), "0 in timeout=", "in time", '"30s"'),
    "emits": (declare(reserve, emits=[NotAnEvent]), "NotAnEvent in emits=", "not an event", "@event above"),
    "waits": (declare(reserve, waits=[NotAnEvent]), "NotAnEvent in waits=", "not an event", "@event above"),
    "name": (declare(reserve, name="a.b"), "'a.b'", "A-Z", "name="),
    "was": (declare(reserve, was=["a b"]), "'a b'", "characters", "was="),
    "unknown option": (declare(reserve, retries=3), "'retries'", "none so named", "concurrency"),
    "same name": (twice, "two handlers named reserve", f"{__file__}:", "rename"),
    "service name": (lambda: Service("Stock"), "'Stock'", "a-z", 'Service("stock")'),
    "dotted service": (lambda: Service("a.b"), "'a.b'", "a-z", 'Service("stock")'),
    "reserved service": (lambda: Service("onstage"), "'onstage'", "reserved", 'Service("stock")'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_declaration_is_refused_with_place_reason_and_mend(case: str) -> None:
    define, what, why, mend = REFUSED[case]
    with pytest.raises(DefinitionError) as caught:
        define()
    first, second, third = str(caught.value).splitlines()
    assert first.startswith(f"{__file__}:")
    assert first.removeprefix(f"{__file__}:").partition(":")[0].isdecimal()
    assert what in first
    assert why in second
    assert mend in third


def test_a_refusal_about_the_function_names_its_line() -> None:
    with pytest.raises(DefinitionError) as caught:
        stock().on(OrderPlaced)(wrong_result)
    assert caught.value.where == f"{__file__}:{wrong_result.__code__.co_firstlineno}"


def test_events_of_an_enclosing_function_are_understood() -> None:
    @event
    @dataclass
    class Local:
        x: int

    service = stock()

    @service.on(Local)
    async def react(e: Local) -> "Local | None":
        return None

    assert react.emits == {Local}


@pytest.mark.parametrize("namespace", ["", "//x", "a b", "A", "a..b", "-a", "a-", "ä", "x" * 254, None])
def test_a_namespace_that_is_no_host_name_is_refused(namespace: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Service("stock", namespace=namespace)
    assert refused.value.what == f"service stock has namespace={namespace!r}"
    assert refused.value.mend == 'write "shop.example", say'


def test_the_source_of_a_service_is_a_uri_with_an_authority() -> None:
    assert Service("stock").source == "//onstage/stock"
    assert Service("stock", namespace="a-1.shop.example").source == "//a-1.shop.example/stock"
    assert Service("door", namespace="shop").source == "//shop/door"
    with pytest.raises(DefinitionError, match="it is reserved for Onstage"):
        Service("door")  # an event of its own could not be told from one that a user named


def test_a_handler_starts_with_new_events_unless_it_wants_the_earliest() -> None:
    service = Service("stock")
    assert service.on("shop.>")(look).start == "new"
    assert service.on("shop.>", start="earliest", name="all")(look).manifest().start == "earliest"
    with pytest.raises(DefinitionError, match="choose one of 'new', 'earliest'"):
        service.on("shop.>", start="first", name="other")(look)  # type: ignore[arg-type]


async def look(e: Envelope) -> None: ...


def test_a_service_keeps_what_the_node_needs() -> None:
    @asynccontextmanager
    async def clients() -> AsyncIterator[str]:
        yield "client"

    service = Service("stock", lifespan=clients, tables="create table t (x)", namespace="eu")
    assert (service.lifespan, service.tables) == (clients, "create table t (x)")
    assert service.source == "//eu/stock"
    assert service.where.startswith(f"{__file__}:")

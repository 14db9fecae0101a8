"""Handlers: what a declaration becomes, as the plain function, as plain data and in the manifest."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from onstage.contracts.handler import Handler
from onstage.contracts.service import Service
from onstage.errors import DefinitionError
from onstage.events.envelope import Envelope
from onstage.events.event import event, event_type


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


async def reserve(e: OrderPlaced) -> Reserved | SoldOut:
    return Reserved(e.order_id)


async def later(e: OrderPlaced) -> "DefinedLater | None":
    return None


async def unknown(e: OrderPlaced) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821 - the point of it
    return None


@event("shop.defined-later")
@dataclass
class DefinedLater:
    x: int


def stock() -> Service:
    return Service("stock")


FORWARD = '@service.on(OrderPlaced)\nasync def react(e) -> "Later": ...\n'
AFTERWARDS = "@event\n@dataclass\nclass Later:\n    x: int\n"


def test_a_handler_is_declared_with_what_its_annotation_says() -> None:
    service = stock()
    handler = service.on(OrderPlaced)(reserve)
    assert (handler.service, handler.name, handler.full_name) == ("stock", "reserve", "stock.reserve")
    assert handler.triggers == (event_type(OrderPlaced),)
    assert handler.emits == {Reserved, SoldOut}
    assert handler.pattern is None
    assert (handler.gating, handler.concurrency, handler.on_failure) == (True, 100, "block")
    assert (handler.lane, handler.start, handler.timeout_s, handler.was) == ("until-end", "new", None, ())
    assert handler.where == f"{__file__}:{reserve.__code__.co_firstlineno}"
    assert handler.code != 0
    assert service.handlers == (handler,)


def test_options_are_kept_in_one_form() -> None:
    handler = stock().on(
        OrderPlaced,
        SoldOut,
        name="take",
        was=["reserve", "old.reserve"],
        key="order_id",
        timeout="1m",
        gating=False,
        emits=[SoldOut],
        waits=Reserved,
        retry=7,
    )(later)
    assert handler.full_name == "stock.take"
    assert handler.was == ("stock.reserve", "old.reserve")
    assert (handler.key, handler.timeout_s, handler.gating, handler.retry) == ("order_id", 60.0, False, 7)
    assert handler.waits == {Reserved}
    assert SoldOut in handler.emits


def test_a_handler_stays_usable_as_the_plain_function() -> None:
    handler: Handler[OrderPlaced, Reserved | SoldOut] = stock().on(OrderPlaced)(reserve)
    assert handler.fn is reserve
    assert asyncio.run(handler(OrderPlaced("o1", "c"))) == Reserved("o1")


def test_a_pattern_handler_gets_envelopes_and_gates_nothing() -> None:
    service = Service("audit")

    @service.on("shop.>")
    async def record(e: Envelope) -> None: ...

    assert record.pattern is not None
    assert record.pattern.matches("shop.order-placed")
    assert (record.triggers, record.gating) == ((), False)
    assert service.on("shop.>", gating=True, name="other")(record.fn).gating


def test_what_is_defined_further_down_is_resolved_when_the_app_is_made() -> None:
    names: dict[str, Any] = {
        "service": stock(),
        "OrderPlaced": OrderPlaced,
        "event": event,
        "dataclass": dataclass,
    }
    exec(FORWARD, names)  # noqa: S102 - a module whose handler stands above its event
    handler = names["react"]
    assert handler.emits == frozenset()
    exec(AFTERWARDS, names)  # noqa: S102 - the rest of that module
    handler.resolve()
    handler.resolve()
    assert [cls.__name__ for cls in handler.emits] == ["Later"]


def test_a_name_that_never_appears_is_refused_when_the_app_is_made() -> None:
    handler = stock().on(OrderPlaced)(unknown)
    with pytest.raises(DefinitionError) as caught:
        handler.resolve()
    what, why, mend = str(caught.value).splitlines()
    assert what.startswith(f"{__file__}:{unknown.__code__.co_firstlineno}: ")
    assert "Nowhere" in why
    assert "import or define Nowhere" in mend


def test_a_manifest_says_what_the_handler_declares() -> None:
    handler = stock().on(OrderPlaced, was="old", waits=[SoldOut])(reserve)
    handler.resolve()
    manifest = handler.manifest()
    assert (manifest.name, manifest.service) == ("stock.reserve", "stock")
    assert manifest.triggers == ("shop.order-placed",)
    assert (manifest.emits, manifest.waits) == (("shop.reserved", "shop.sold-out"), ("shop.sold-out",))
    assert (manifest.was, manifest.code) == (("stock.old",), handler.code)
    pattern = stock().on("shop.*")(later)
    pattern.resolve()
    assert (pattern.manifest().triggers, pattern.manifest().pattern) == (("shop.*",), True)

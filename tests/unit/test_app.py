"""The application as plain data: everything that is wrong is refused before anything runs, with file, line and mend."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onstage import App, Process, Service, connect, event, step, transaction
from onstage.app import store_path
from onstage.errors import DefinitionError, UsageError


@event("app.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


@event("app.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


class Opaque:
    pass


class Till:
    async def charge(self) -> None: ...


def not_encodable() -> None:
    @event
    @dataclass
    class Broken:
        what: Opaque


def unknown_key() -> None:
    @event(key="order_id")
    @dataclass
    class Keyless:
        id: str


def no_class_of_fields() -> None:
    @event
    class Bare:
        pass


def same_event_name() -> App:
    @event("app.placed")
    @dataclass
    class Other:
        id: str

    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None: ...

    @shop.on(Other)
    async def take_other(e: Other) -> None: ...

    return App(shop)


def same_service_name() -> App:
    return App(Service("shop"), Service("shop"))


def same_service_twice() -> App:
    shop = Service("shop")
    return App(shop, shop)


def same_handler_name() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None: ...

    @shop.on(Paid, name="take")
    async def other(e: Paid) -> None: ...


def same_process_name() -> App:
    return App(Process("order", starts=Placed, done=Paid), Process("order", starts=Placed, done=Paid))


def handler_of_no_event() -> None:
    shop = Service("shop")

    @shop.on(Opaque)
    async def take(e: Opaque) -> None: ...


def handler_of_a_subclass() -> None:
    class Express(Placed):
        pass

    shop = Service("shop")

    @shop.on(Express)
    async def take(e: Express) -> None: ...


def handler_key_that_no_field_has() -> None:
    shop = Service("shop")

    @shop.on(Placed, key="customer")
    async def take(e: Placed) -> None: ...


def returns_no_event() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Opaque:
        return Opaque()


def returns_an_unknown_name() -> App:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> "NoSuchEvent":  # type: ignore[name-defined]  # noqa: F821
        return None

    return App(shop)


def handler_that_is_not_async() -> None:
    shop = Service("shop")

    @shop.on(Placed)  # type: ignore[arg-type]
    def take(e: Placed) -> None: ...


def step_without_codec() -> None:
    @step
    def charge() -> Opaque:
        return Opaque()


def transaction_without_codec() -> None:
    @transaction
    def charge(db: object) -> Opaque:
        return Opaque()


def step_of_a_method() -> None:
    step(Till.charge)


def step_with_unknown_result() -> App:
    shop = Service("shop")

    @step
    async def charge() -> "NoSuchResult":  # type: ignore[name-defined]  # noqa: F821
        return None

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await charge()

    return App(shop)


def owner_that_is_absent() -> App:
    return App(Service("shop"), Process("order", starts=Placed, done=Paid, owner=Service("other")))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (not_encodable, r"event class .*Broken cannot be encoded\n  why: .*Broken\.what is an Opaque"),
    (unknown_key, r"cannot have the key 'order_id'\n  why: it has no such field\n  to do: name one of its fields: id"),
    (no_class_of_fields, r"cannot be an event\n.*\n  to do: write @dataclass\(frozen=True\)"),
    (same_event_name, r"two classes are the event app\.placed"),
    (same_service_name, r"two services are named shop"),
    (same_service_twice, r"service shop was given twice"),
    (same_handler_name, r"service shop has two handlers named take"),
    (same_process_name, r"two processes are named order"),
    (handler_of_no_event, r"service shop cannot react to Opaque"),
    (handler_of_a_subclass, r"it was not itself decorated with @event"),
    (handler_key_that_no_field_has, r"handler shop\.take has key='customer'"),
    (returns_no_event, r"Opaque is not an event"),
    (returns_an_unknown_name, r"the return annotation of handler shop\.take cannot be resolved"),
    (handler_that_is_not_async, r"handler shop\.take is not an async def function"),
    (step_without_codec, r"the result of step charge cannot be stored"),
    (transaction_without_codec, r"the result of transaction charge cannot be stored"),
    (step_of_a_method, r"step Till\.charge is a method"),
    (step_with_unknown_result, r"an annotation of step charge is unknown"),
    (owner_that_is_absent, r"process order is owned by service other, which is absent"),
]


@pytest.mark.parametrize(("define", "what"), REFUSED, ids=[case[0].__name__ for case in REFUSED])
def test_what_is_wrong_is_refused_before_anything_runs(define: Callable[[], Any], what: str) -> None:
    with pytest.raises(DefinitionError, match=what) as refused:
        define()
    assert re.search(r"test_app\.py:\d+$", refused.value.where), refused.value.where
    assert refused.value.mend
    assert refused.value.why


def test_what_is_neither_a_service_nor_a_process_is_refused() -> None:
    with pytest.raises(DefinitionError, match="neither a Service nor a Process") as refused:
        App(Placed)  # type: ignore[arg-type]
    assert refused.value.mend


def test_an_app_can_be_looked_at_without_starting_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id)

    order = Process("order", starts=Placed, done=Paid)
    app = App(shop, order)
    app.run("sqlite:///shop.db")
    connect("sqlite:///shop.db", app)
    assert (app.services, app.processes) == ((shop,), (order,))
    assert [handler.name for handler in app.manifest.handlers] == ["shop.take"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("memory:", None),
        ("memory://", None),
        ("sqlite:///shop.db", Path("shop.db")),
        ("sqlite:////var/lib/shop.db", Path("/var/lib/shop.db")),
        ("sqlite:///my%20shop.db", Path("my shop.db")),
    ],
)
def test_a_url_names_a_file_or_memory(url: str, path: Path | None) -> None:
    assert store_path(url) == path


@pytest.mark.parametrize(
    "url", ["", "shop.db", "sqlite://shop.db", "sqlite:///", "sqlite://", "postgres://x/y", "http://x"]
)
def test_any_other_url_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(UsageError, match=r'is no store\n  why: .*\n  to do: write "sqlite:///shop\.db"'):
        App(Service("shop")).run(url)


def test_a_memory_store_has_no_clients() -> None:
    with pytest.raises(UsageError, match="a memory store lives inside its own process"):
        connect("memory:", App(Service("shop")))


def test_two_apps_in_one_process_share_nothing() -> None:
    def app() -> App:
        shop = Service("shop")

        @shop.on(Placed)
        async def take(e: Placed) -> Paid:
            return Paid(e.id)

        return App(shop)

    async def story() -> None:
        async with app().run() as first, app().run() as second:
            await (await first.emit(Placed("o1"))).verdict(timeout=5)
            with pytest.raises(LookupError):
                await second.process("o1")

    asyncio.run(story())

"""Who asks whom, as declarations and source tell, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from onstage import App, Request, Service, ask, event, start
from onstage.contracts.responding import Responding, asked_requests, declared_asks, response_codec_of
from onstage.contracts.topology import Place, Topology
from onstage.errors import DefinitionError
from onstage.events.answer import answer_type
from onstage.events.codec import codec_for


@event("asking.begun")
@dataclass(frozen=True)
class Begun:
    x: int


@event("asking.price")
@dataclass(frozen=True)
class Price(Request[int]):
    x: int


@event("asking.name")
@dataclass(frozen=True)
class Name(Request[str]):
    x: int


@event("asking.silent")
@dataclass(frozen=True)
class Silent(Request):  # type: ignore[type-arg]  # which is what is tried
    x: int


class Odd:
    pass


def shop() -> Service:
    service = Service("shop")

    @service.answers
    async def price(q: Price) -> int:
        return q.x

    @service.workflow
    async def fulfil(x: list[int]) -> int:
        return await ask(Price(sum(x)))

    @service.on(Begun)
    async def begin(e: Begun) -> None:
        await helped(fulfil)

    async def helped(workflow: Any) -> None:
        await start(fulfil, [1])

    return service


def test_the_source_tells_whom_a_handler_asks_and_the_manifest_says_so() -> None:
    manifests = {each.name: each for each in App(shop()).manifest.handlers}
    fulfil, price, begin = manifests["shop.fulfil"], manifests["shop.price"], manifests["shop.begin"]
    assert (fulfil.asks, fulfil.waits) == (("asking.price",), ("onstage.answer/asking.price",))
    assert fulfil.emits == ("asking.price", "onstage.answer/onstage.start/shop.fulfil")
    assert fulfil.answers == "onstage.start/shop.fulfil"
    assert (price.answers, price.emits, price.asks) == ("asking.price", ("onstage.answer/asking.price",), ())
    assert begin.asks == ("onstage.start/shop.fulfil",)
    assert begin.waits == ("onstage.answer/onstage.start/shop.fulfil",)


def test_what_the_source_hides_is_declared() -> None:
    service = Service("shop")

    @service.on(Begun, asks=[Price])
    async def begin(e: Begun) -> None:
        request: Any = next(iter([Price(1)]))
        await ask(request)

    assert App(service).manifest.handlers[0].asks == ("asking.price",)
    assert declared_asks("handler x", Price, "") == (Price,)
    assert [each.name for each in asked_requests("x", begin.fn, [Name], "")] == ["asking.name"]


def answers_twice(service: Service) -> None:
    @service.answers
    async def price(q: Price) -> int:
        return 1

    @service.answers(Price)
    async def again(q: Price) -> int:
        return 2

    App(service)


def answers_other(service: Service) -> None:
    @service.answers
    async def price(q: Price) -> str:
        return ""


def answers_no_request(service: Service) -> None:
    @service.answers
    async def price(q: Begun) -> str:
        return ""


def answers_silently(service: Service) -> None:
    @service.answers
    async def price(q: Price):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return 1


def asks_no_request(service: Service) -> None:
    @service.on(Begun, asks=[Begun])
    async def begin(e: Begun) -> None: ...


def takes_nothing(service: Service) -> None:
    @service.workflow
    async def fulfil() -> None: ...  # type: ignore[misc,arg-type]


def takes_anything(service: Service) -> None:
    @service.workflow
    async def fulfil(x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def takes_what_cannot_be_stored(service: Service) -> None:
    @service.workflow
    async def fulfil(x: Odd) -> None: ...


def gives_what_cannot_be_stored(service: Service) -> None:
    @service.workflow
    async def fulfil(x: int) -> Odd:
        return Odd()


def has_a_key(service: Service) -> None:
    @service.workflow(key="x")
    async def fulfil(x: int) -> int:
        return x


def is_unknown(service: Service) -> None:
    @service.workflow
    async def fulfil(x: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
        return 1


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (answers_twice, "handlers shop.price and shop.again both answer asking.price"),
        (answers_other, "the request demands int, the return annotation says str"),
        (answers_no_request, "it is no request"),
        (answers_silently, "has no return annotation"),
        (asks_no_request, "it is neither a request nor a workflow"),
        (takes_nothing, "does not take exactly one thing"),
        (takes_anything, "has a parameter without annotation"),
        (takes_what_cannot_be_stored, "the input of workflow shop.fulfil cannot be stored"),
        (gives_what_cannot_be_stored, "the result of workflow shop.fulfil cannot be stored"),
        (has_a_key, "a start has the id it was given as its key"),
        (is_unknown, "define Nowhere above the function"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(declare: Callable[[Service], None], said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        declare(Service("shop"))
    assert said in str(refused.value)
    assert __file__ in refused.value.where
    assert refused.value.mend


def test_a_request_that_does_not_say_what_it_demands_cannot_be_asked() -> None:
    with pytest.raises(DefinitionError, match="what it demands is not known"):
        response_codec_of(Silent, "handler x asks y", "x.py:1")


def test_a_topology_knows_what_is_answered_twice() -> None:
    other = Service("other")

    @other.answers
    async def price(q: Price) -> int:
        return 2

    one = Topology().with_services(App(shop()).manifest, ["shop"], at=Place())
    assert one.answered_twice() is None
    both = one.with_services(App(other).manifest, ["other"], at=Place())
    assert both.answered_twice() == ("asking.price", "other.price", "shop.price")


def test_what_responds_emits_its_answer_and_nothing_else() -> None:
    known = answer_type("asking.price")
    assert Responding("asking.price", known, codec_for(int), is_workflow=False).classes == {known.cls}

"""What an application is refused for as a whole, and the manifest it has otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from onstage.contracts.manifest import digest
from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.contracts.validation import declared, event_types, validate
from onstage.errors import DefinitionError
from onstage.events.envelope import Envelope
from onstage.events.event import event, event_type


@event("shop.placed")
@dataclass
class Placed:
    x: int


@event("shop.placed")
@dataclass
class PlacedAgain:
    x: int


@event("shop.shipped", key="x")
@dataclass
class Shipped:
    x: int


async def ship(e: Placed) -> Shipped | None: ...


async def pack(e: Placed) -> None: ...


async def again(e: PlacedAgain) -> None: ...


async def unknown(e: Placed) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821 - the point of it
    ...


def one_service(name: str = "shipping") -> Service:
    service = Service(name)
    service.on(Placed)(ship)
    return service


def same_service_twice() -> None:
    service = one_service()
    validate([service, service])


def two_services_of_one_name() -> None:
    validate([one_service(), one_service()])


def same_event_name() -> None:
    service = one_service()
    service.on(PlacedAgain)(again)
    validate([service])


def same_event_name_in_a_process() -> None:
    validate([one_service()], [Process("order", starts=PlacedAgain, done=Shipped)])


def was_is_taken() -> None:
    service = one_service()
    service.on(Placed, was="ship")(pack)
    validate([service])


def was_is_claimed_twice() -> None:
    service = Service("shipping")
    service.on(Placed, was="old")(ship)
    service.on(Placed, was="old")(pack)
    validate([service])


def two_processes_of_one_name() -> None:
    order = Process("order", starts=Placed, done=Shipped)
    validate([one_service()], [order, Process("order", starts=Placed, done=Shipped)])


def foreign_owner() -> None:
    stranger = Service("stranger")
    validate([one_service()], [Process("order", starts=Placed, done=Shipped, owner=stranger)])


def unresolvable() -> None:
    service = one_service()
    service.on(Placed)(unknown)
    validate([service])


REFUSED: list[tuple[Callable[[], None], str, str, str]] = [
    (same_service_twice, "shipping was given twice", "once", "remove"),
    (two_services_of_one_name, "two services are named shipping", f"{__file__}:", "rename"),
    (same_event_name, "Placed and PlacedAgain", event_type(Placed).where, "rename one"),
    (same_event_name_in_a_process, "Placed and PlacedAgain", event_type(Placed).where, "imported twice"),
    (was_is_taken, "shipping.pack says it was shipping.ship", f"{__file__}:", "was="),
    (was_is_claimed_twice, "taken by shipping.ship", f"{__file__}:", "was="),
    (two_processes_of_one_name, "two processes are named order", f"{__file__}:", "rename"),
    (foreign_owner, "owned by service stranger", f"{__file__}:", "shipping"),
    (unresolvable, "shipping.unknown", "Nowhere", "import or define"),
]


@pytest.mark.parametrize(("make", "what", "why", "mend"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_application_is_refused_with_both_places(
    make: Callable[[], None], what: str, why: str, mend: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        make()
    first, second, third = str(caught.value).splitlines()
    assert first.startswith(f"{__file__}:")
    assert what in first
    assert why in second
    assert mend in third


def test_a_former_name_in_its_own_service_is_no_clash() -> None:
    service = one_service()
    service.on(Placed, was="wrap")(pack)
    assert validate([service]).handlers[0].was == ("shipping.wrap",)


def test_the_manifest_holds_everything_sorted_by_name() -> None:
    order = Process("order", starts=Placed, done=Shipped)
    manifest = validate([one_service("z"), one_service("a")], [order])
    assert [each.name for each in manifest.handlers] == ["a.ship", "z.ship"]
    assert [each.name for each in manifest.types] == ["shop.placed", "shop.shipped"]
    assert [each.name for each in manifest.processes] == ["order"]
    assert manifest.types[1].key == "x"
    assert manifest.types[1].schema == event_type(Shipped).codec.fingerprint
    assert digest(manifest) == digest(validate([one_service("a"), one_service("z")], [order]))


def test_all_event_types_are_collected() -> None:
    service = one_service()
    validate([service])
    assert event_types([service]) == (event_type(Placed), event_type(Shipped))


def test_what_is_declared_is_worked_out_once_and_anew_for_one_handler_more() -> None:
    service = one_service()
    first = declared([service])
    assert declared([service]) is first
    assert first.manifest == validate([service])
    service.on(Placed)(pack)
    second = declared([service])
    assert [handler.name for handler in second.manifest.handlers] == ["shipping.pack", "shipping.ship"]
    assert second.stored.startswith(digest(second.manifest).encode() + b"\n{")
    assert declared([one_service()]) is not first, "another service, though it declares the same"


def test_each_handler_is_matched_with_the_types_it_starts_at() -> None:
    service = one_service()

    @service.on("shop.*", name="audit")
    async def audit(_: Envelope) -> None: ...

    found = declared([service])
    by_name = {handler.name: names for handler, names in found.triggered.items()}
    assert by_name == {"ship": ("shop.placed",), "audit": ("shop.placed", "shop.shipped")}
    assert set(found.waited.values()) == {()}


def test_a_wrong_declaration_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(DefinitionError):
            declared([one_service(), one_service()])

"""Processes: what a declaration becomes, what is refused, and which types can belong to one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from onstage.contracts.manifest import HandlerManifest
from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.errors import DefinitionError
from onstage.events.event import event, event_type


@event
@dataclass
class Placed:
    x: int


@event
@dataclass
class Paid:
    x: int


@event
@dataclass
class Shipped:
    x: int


@event
@dataclass
class Cancelled:
    x: int


@event
@dataclass
class Approved:
    x: int


class NotAnEvent:
    pass


def process(**changes: Any) -> Process:
    options: dict[str, Any] = {"name": "order", "starts": Placed, "done": Shipped, **changes}
    return Process(options.pop("name"), **options)


def handler(name: str, trigger: str, *emits: str, **more: Any) -> HandlerManifest:
    return HandlerManifest(name=f"s.{name}", service="s", triggers=(trigger,), emits=emits, **more)


REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "starts": ({"starts": NotAnEvent}, "NotAnEvent in starts=", "not an event", "@event above"),
    "done": ({"done": [Shipped, 5]}, "5 in done=", "not an event", "@event above"),
    "failed": ({"failed": NotAnEvent}, "NotAnEvent in failed=", "not an event", "@event above"),
    "within": ({"within": {NotAnEvent: "5m"}}, "NotAnEvent in within=", "not an event", "@event above"),
    "external": ({"external": ["x"]}, "'x' in external=", "not an event", "@event above"),
    "no starts": ({"starts": []}, "empty starts=", "needs an event", "starts=SomeEvent"),
    "no done": ({"done": ()}, "empty done=", "needs an event", "done=SomeEvent"),
    "milestone": ({"within": {Paid: "soon"}}, "'soon' in within=", "unit", '"5m"'),
    "deadline": ({"deadline": -1}, "-1 in deadline=", "negative", '"3d"'),
    "late": ({"late": Cancelled}, "no deadline=", "never run", "deadline="),
    "late is no function": ({"late": 5, "deadline": "1d"}, "late=5", "called", "lambda"),
    "both": ({"failed": [Shipped]}, "shipped in done= and in failed=", "one or the other", "remove"),
    "at once": ({"done": [Placed]}, "placed in starts= and among", "as it begins", "another event"),
    "owner": ({"owner": "shop"}, "owner='shop'", "is a service", "Service object"),
    "option": ({"deadlin": "3d"}, "'deadlin'", "none so named", "deadline"),
    "name": ({"name": "My Order"}, "'My Order'", "a-z", 'Process("order"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_process_is_refused_with_place_reason_and_mend(case: str) -> None:
    changes, what, why, mend = REFUSED[case]
    with pytest.raises(DefinitionError) as caught:
        process(**changes)
    first, second, third = str(caught.value).splitlines()
    assert first.startswith(f"{__file__}:{process.__code__.co_firstlineno + 2}: ")
    assert what in first
    assert why in second
    assert mend in third


def test_a_process_keeps_event_types_and_seconds() -> None:
    shop = Service("shop")
    make: Callable[[Any], object] = lambda e: Cancelled(e.x)  # noqa: E731 - as users write it
    order = process(failed=[Cancelled], within={Paid: "5m"}, deadline="3d", late=make, external=Approved, owner=shop)
    assert order.starts == (event_type(Placed),)
    assert order.outcomes == {"shipped", "cancelled"}
    assert dict(order.within_s) == {"paid": 300.0}
    assert order.milestones == (event_type(Paid),)
    assert (order.deadline_s, order.late, order.owner) == (259_200.0, make, shop)
    assert order.one_per_key is False
    manifest = order.manifest()
    assert (manifest.starts, manifest.failed, manifest.late) == (("placed",), ("cancelled",), True)
    assert (manifest.owner, manifest.external) == ("shop", ("approved",))


def test_a_process_cannot_be_changed() -> None:
    order = process()
    with pytest.raises(AttributeError):
        order.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        order.within_s["paid"] = 1.0  # type: ignore[index]


def test_known_types_follow_gating_handlers_waits_and_patterns() -> None:
    order = process(failed=Cancelled, within={Paid: "5m"}, external=Approved)
    handlers = [
        handler("reserve", "placed", "reserved", waits=("confirmed",)),
        handler("charge", "reserved", "charged", "placed"),
        handler("confirm", "confirmed", "confirmation-sent"),
        handler("audit", "charged", "audited", gating=False),
        handler("stranger", "strange", "stranger"),
        handler("joined", "*", "seen", pattern=True),
    ]
    own = {"placed", "shipped", "cancelled", "paid", "approved"}
    reached = {"reserved", "confirmed", "charged", "confirmation-sent", "seen"}
    assert order.known_types(handlers) == own | reached
    assert order.known_types([]) == own

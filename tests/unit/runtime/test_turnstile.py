"""Turnstiles and gates: never more than there are places, never idle while one is free, the right one first."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onstage.contracts.service import Service
from onstage.core.retry import NO_RETRY
from onstage.events.event import event, event_type
from onstage.events.rate import rate_of
from onstage.events.receipt import Status
from onstage.runtime.delivery import Delivery, Reaction
from onstage.runtime.turnstile import Gate, Turnstile
from onstage.testing.virtual_loop import VirtualLoop


@event("turnstile.asked")
@dataclass(frozen=True)
class Asked:
    tenant: str = ""
    urgency: int = 4


class Door:
    """Turnstiles before handlers of one service, and what they have let in."""

    def __init__(self, *options: dict[str, Any], concurrency: int | None = None, rate: str | None = None) -> None:
        service = Service("doors")
        self.inside: list[Delivery] = []
        self.let: list[tuple[float, int]] = []
        self.gate = Gate(self._let, concurrency, None if rate is None else rate_of(rate))
        self.reactions = []
        self.turnstiles = []
        for n, each in enumerate(options):

            async def take(e: Asked) -> None: ...

            handler = service.on(Asked, name=f"h{n}", **each)(take)
            reaction = Reaction(handler, n + 1, NO_RETRY)
            self.reactions.append(reaction)
            self.turnstiles.append(Turnstile(reaction, self.gate, handler.flow))
        self._next = 0

    def _let(self, delivery: Delivery) -> None:
        self.inside.append(delivery)
        self.let.append((asyncio.get_running_loop().time(), delivery.id))

    def ask(self, handler: int = 0, *, asked: Asked | None = None, lane: str | None = None) -> Delivery:
        """A delivery comes."""
        self._next += 1
        known = event_type(Asked)
        data = known.encode(asked or Asked())
        delivery = Delivery(self._next, self.reactions[handler], 1, known, lane, data=data)
        self.turnstiles[handler].enter(delivery)
        return delivery

    def leave(self, delivery: Delivery, parked: Status | None = None) -> None:
        """One that is inside ends, or parks."""
        self.inside.remove(delivery)
        delivery.reaction.running -= 1
        turnstile = self.turnstiles[delivery.reaction.number - 1]
        turnstile.left()
        if parked is not None:
            turnstile.parked(delivery, parked)

    @property
    def order(self) -> list[int]:
        return [name for _, name in self.let]


def on_a_loop(play: Callable[[VirtualLoop], None]) -> None:
    """Play on a loop of virtual time."""
    loop = VirtualLoop(0.0)

    async def scene() -> None:
        play(loop)

    try:
        loop.run_until_complete(scene())
    finally:
        loop.close()


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "leave", "park"]), st.integers(0, 2)), max_size=120)


@given(steps=STEPS, places=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)), whole=st.integers(1, 5))
def test_all_places_are_used_and_no_more(steps: list[tuple[str, int]], places: tuple[int, ...], whole: int) -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door(*({"concurrency": each, "priority": each} for each in places), concurrency=whole)
        asked = 0
        for what, handler in steps:
            own = [each for each in door.inside if each.reaction.number == handler + 1]
            if what == "ask":
                door.ask(handler)
                asked += 1
            elif own and what == "leave":
                door.leave(own[0])
            elif own:
                door.leave(own[0], Status.WAITING)
                door.turnstiles[handler].enter(own[0])  # it is woken at once
                asked += 1
            counts = [sum(each.reaction.number == n + 1 for each in door.inside) for n in range(3)]
            assert all(count <= place for count, place in zip(counts, places, strict=True))
            assert len(door.inside) <= whole
            assert door.gate.running == len(door.inside)
            if len(door.inside) < whole:
                idle = [
                    t.waiting and count < place for t, count, place in zip(door.turnstiles, counts, places, strict=True)
                ]
                assert not any(idle), "a place is free and somebody waits for it"
        while door.inside:
            door.leave(door.inside[0])
        assert len(door.let) == asked
        assert [turnstile.waiting for turnstile in door.turnstiles] == [0, 0, 0]

    on_a_loop(play)


def test_what_has_begun_goes_before_what_has_not() -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door({"concurrency": 1, "rate": "1/h"})
        first = door.ask()
        second = door.ask()
        door.leave(first, Status.WAITING)
        assert door.order == [first.id], "the rate holds the second back"
        door.turnstiles[0].enter(first)
        assert door.order == [first.id, first.id], "a wake-up is counted by no rate"
        assert door.turnstiles[0].waiting == 1
        assert second.id not in door.order

    on_a_loop(play)


def test_tenants_take_turns_and_a_higher_priority_goes_first() -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door({"concurrency": 1, "fair_by": "tenant", "priority": "urgency"})
        door.ask()
        a = [door.ask(asked=Asked("a")).id for _ in range(3)]
        b = [door.ask(asked=Asked("b")).id for _ in range(2)]
        urgent = door.ask(asked=Asked("a", urgency=9)).id
        beyond = door.ask(asked=Asked("a", urgency=99)).id
        for _ in range(7):
            door.leave(door.inside[0])
        assert door.order[1:] == [urgent, beyond, a[0], b[0], a[1], b[1], a[2]]

    on_a_loop(play)


def test_a_gate_asks_the_handler_with_the_higher_priority_even_if_that_came_later() -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door({"priority": 1}, {"priority": "urgency"}, concurrency=1)
        door.ask(0)
        low = door.ask(0).id
        middle = door.ask(1, asked=Asked(urgency=2)).id
        high = door.ask(1, asked=Asked(urgency=8)).id
        for _ in range(3):
            door.leave(door.inside[0])
        assert door.order[1:] == [high, middle, low]

    on_a_loop(play)


def test_a_rate_lets_one_in_at_a_time_with_one_timer() -> None:
    loop = VirtualLoop(0.0)
    door: list[Door] = []

    async def come() -> None:
        door.append(Door({"rate": "2/s"}, {"rate": "1/s"}, rate="10/s"))
        for _ in range(50):
            door[0].ask(0)
            door[0].ask(1)
        assert door[0].gate.due_s == 0.1
        assert [turnstile.due_s for turnstile in door[0].turnstiles] == [None, None]

    loop.run_until_complete(come())
    loop.run_to(10.0)
    counts = [sum(name % 2 == n for _, name in door[0].let) for n in (1, 0)]
    assert 20 <= counts[0] <= 22
    assert 10 <= counts[1] <= 12
    loop.close()


def test_retries_wait_for_their_budget_and_first_attempts_do_not() -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door({"retry_budget": 0.5})
        first = [door.ask() for _ in range(4)]
        for each in first:
            door.leave(each, Status.RETRYING)
        for each in first:
            door.turnstiles[0].enter(each)
        assert len(door.inside) == 3, "two are covered by four first attempts, one by the floor"
        assert door.turnstiles[0].waiting == 1
        door.ask()
        assert len(door.inside) == 4

    on_a_loop(play)


def test_an_event_that_cannot_be_decoded_takes_no_place_in_the_order() -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door({"fair_by": "tenant"})
        delivery = Delivery(99, door.reactions[0], 1, event_type(Asked), None, data=b"{")
        door.turnstiles[0].enter(delivery)
        assert door.order == [99]

    on_a_loop(play)


def test_what_waits_at_a_paused_turnstile_can_be_taken_back_in_order() -> None:
    def play(loop: VirtualLoop) -> None:
        door = Door({})
        door.turnstiles[0].paused = True
        waiting = [door.ask().id for _ in range(3)]
        assert door.let == []
        assert [each.id for each in door.turnstiles[0].empty()] == waiting
        assert door.turnstiles[0].waiting == 0

    on_a_loop(play)

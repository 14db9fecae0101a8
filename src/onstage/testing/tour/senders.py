"""The clients of a tour: they send at one node, again and again until they are answered, through all its deaths."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from onstage.errors import StoreUnavailable
from onstage.events.event import event_type
from onstage.runtime.local_ways import LocalWays
from onstage.testing.tour.repertory import SERVICES, Allowed, Booked, Rang
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from onstage.testing.tour.company import Member
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.swarm import Swarm
    from onstage.testing.world.tape import Tape

__all__ = ["Send", "Senders", "programme_of"]

KEYS: Final = ("a", "b")
GAPS_S: Final = (0.0, 0.0, 0.01, 0.2, 1.0, 4.0, 15.0)
SENDS_MIN: Final = 8
SENDS_MORE: Final = 10
PAUSE_S: Final = 0.5


@final
@dataclass(slots=True, eq=False)
class Send:
    """Emit an event at a node under an id. `told` are the public ids that its client was given."""

    event: Any
    id: str
    at: str
    told: list[str]
    life: Member | None = None
    again_at: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the client has what it wants."""
        return bool(self.told) and self.again_at is None


def programme_of(tape: Tape) -> list[tuple[float, Send]]:
    """What is sent, (virtual seconds, send), in order."""
    chance, at_s = tape.stream("plan"), 0.0
    sends: list[tuple[float, Send]] = []
    for n in range(SENDS_MIN + chance.pick(SENDS_MORE)):
        at_s += GAPS_S[chance.pick(len(GAPS_S))]
        key, at = KEYS[chance.pick(len(KEYS))], SERVICES[chance.pick(len(SERVICES))]
        kind = chance.pick(5)
        event = Booked(key, n) if kind < 2 else Rang(key, n) if kind < 4 else Allowed(key, n)
        sends.append((round(at_s, 3), Send(event, f"send-{n}", at, [])))
        if isinstance(event, Booked) and n % 3 == 1 and chance.pick(2):
            sends.append((round(at_s + 2.0, 3), Send(Allowed(key, n), f"allow-{n}", at, [])))
    return sorted(sends, key=lambda timed: timed[0])


@final
class Senders:
    """All clients of one tour."""

    def __init__(self, swarm: Swarm, record: Onlooker) -> None:
        """Nobody has sent anything yet."""
        self._swarm = swarm
        self._record = record
        self.sends: list[Send] = []

    @property
    def are_done(self) -> bool:
        """Whether each has its answer."""
        return all(send.is_over for send in self.sends)

    def go_on(self, members: dict[str, Member]) -> None:
        """Whoever has no answer sends, as soon as its node is up, and again to its next life."""
        for send in self.sends:
            member = members.get(send.again_at or send.at)
            if send.is_over or member is None or not member.is_up or send.life is member:
                continue
            if send.life is not None:
                self._record.marks.add("a client's answer was lost with the node")
            send.life = member
            member.loop.create_task(self._send(send, member))

    async def _send(self, send: Send, member: Member) -> None:
        node, known = member.node, event_type(type(send.event))
        assert node is not None, "clients send to nodes"
        while True:
            try:
                told = await LocalWays(node).emit(known.name, known.encode(send.event), id=send.id, source=None)
            except StoreUnavailable:
                await asyncio.sleep(PAUSE_S)
                continue
            break
        self._record.note("answer", send.id, told)
        send.told.append(told)
        send.again_at = send.life = None
        if self._swarm.strikes(Fault.LOST_ANSWER) or self._swarm.strikes(Fault.DUPLICATE):
            # What is decided about at its owner may come again anywhere; the rest belongs to the node it was sent to.
            there = send.at if isinstance(send.event, Rang) else SERVICES[self._swarm.amount(Fault.DUPLICATE, 4)]
            send.again_at = there

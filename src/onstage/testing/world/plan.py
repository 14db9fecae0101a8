"""The workload of a world: what clients outside do, and when, drawn from the tape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, final

from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.events.event import event_type
from onstage.testing.world import repertoire as play
from onstage.testing.world.plays.play import Act, Said
from onstage.testing.world.swarm import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.events.delayed import When
    from onstage.events.event import EventType
    from onstage.testing.world.plays.play import Play
    from onstage.testing.world.swarm import Swarm
    from onstage.testing.world.tape import Tape

__all__ = ["Ask", "Deed", "Emit", "Perform", "plan_of"]

KEYS: Final = ("a", "b", "c")
GAPS_S: Final = (0.0, 0.0, 0.001, 0.01, 0.2, 1.0, 5.0, 40.0)
DEEDS_MIN: Final = 7
DEEDS_MORE: Final = 8
BURST: Final = 8
MASSES: Final = 300
ONE_IN: Final = 3
"""In a world with plays so many of all deeds are the repertoire's to one of theirs."""

BAD: Final = (b"", b"{", b"null", b"[]", b'{"key": 7}', b"\xff\xfe", b"[" * 500)


@final
@dataclass(eq=False)
class Emit:
    """Emit an event under an id, again and again until there is an answer. `into` joins an earlier process.

    With `starts` it is the input of a workflow, or a request whose answer is wanted; with `when` it is for later.
    """

    event: Any
    id: str
    into: int | None = None
    raw: bytes | None = None
    is_bad: bool = False
    is_gone: bool = False
    process: str | None = None
    accepted: str | None = None
    refused: str | None = None
    is_under_way: bool = False
    starts: EventType | None = None
    when: When | None = None

    @property
    def is_over(self) -> bool:
        """Whether the client has its answer, or has gone away."""
        return self.accepted is not None or self.refused is not None or self.is_gone

    @property
    def type(self) -> EventType:
        """Under which type it is sent."""
        return self.starts or event_type(type(self.event))

    @cached_property
    def data(self) -> bytes:
        """The payload as sent."""
        return self.raw if self.raw is not None else self.type.encode(self.event)


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for the verdict on one of the processes so far, perhaps waiting for a final one."""

    which: int
    timeout_s: float


@final
@dataclass(frozen=True, slots=True)
class Perform:
    """What somebody does at a node, as a play says."""

    act: Act


Deed = Emit | Ask | Perform


@final
class _Planner:
    def __init__(self, tape: Tape, swarm: Swarm, plays: Sequence[Play]) -> None:
        self._chance = tape.stream("plan")
        self._drawn = tape.stream("plays")
        self._plays = plays
        self._swarm = swarm
        self._n = 0
        self.plan: list[tuple[float, Deed]] = []

    def add(self, at_s: float) -> None:
        chance, swarm = self._chance, self._swarm
        if swarm.strikes(Fault.LIMIT):
            self._blob(at_s, swarm.amount(Fault.LIMIT, 3) - 1)
        if swarm.strikes(Fault.BAD_PAYLOAD):
            raw = BAD[swarm.amount(Fault.BAD_PAYLOAD, len(BAD))]
            bad = Emit(play.Noted("bad", self._next()), f"client-{len(self.plan)}", raw=raw, is_bad=True)
            self.plan.append((at_s, bad))
        if swarm.strikes(Fault.TIMERS_IN_MASSES):
            for n in range(MASSES):
                self.plan.append((at_s, Emit(play.Napped(f"one of many {n}", self._next(), 30.0), f"many-{n}-{at_s}")))
        if swarm.strikes(Fault.TIMERS_AT_ONCE):
            for _ in range(BURST):
                self._emit(at_s, play.Napped(self._key(), self._next(), 3.0))
        if chance.pick(5) == 4:
            self.plan.append((at_s, Ask(chance.pick(100), (0.0, 2.0, 50.0)[chance.pick(3)])))
        event = self._event()
        if self._plays and self._drawn.pick(ONE_IN) == ONE_IN - 1:
            self._of_a_play(at_s)
            return
        if isinstance(event, play.Ticked):
            for _ in range(chance.pick(3)):
                self._emit(at_s, play.Ticked(event.key, self._next()))
        self._emit(at_s, event, into=chance.pick(100) if chance.pick(8) == 7 else None)

    def _of_a_play(self, at_s: float) -> None:
        chance = self._drawn
        drawn = self._plays[chance.pick(len(self._plays))]
        for deed in drawn.deeds(chance, KEYS[chance.pick(len(KEYS))], self._next()):
            later_s = round(at_s + deed.later_s, 3)
            if isinstance(deed, Said):
                self._say(later_s, deed)
            else:
                self.plan.append((later_s, Perform(deed)))

    def _say(self, at_s: float, said: Said) -> None:
        swarm, name = self._swarm, f"client-{len(self.plan)}"
        times = [at_s]
        if swarm.strikes(Fault.DUPLICATE):
            times.append(at_s + GAPS_S[swarm.amount(Fault.DUPLICATE, len(GAPS_S))])
        self.plan += [(each_s, Emit(said.event, name, starts=said.starts, when=said.when)) for each_s in times]

    def _emit(self, at_s: float, event: Any, *, into: int | None = None) -> None:
        swarm = self._swarm
        name = f"client-{len(self.plan)}"
        if into is not None:
            event = play.Noted(self._key(), self._next())
        self.plan.append((at_s, Emit(event, name, into)))
        if swarm.strikes(Fault.DUPLICATE):
            later_s = at_s + GAPS_S[swarm.amount(Fault.DUPLICATE, len(GAPS_S))]
            self.plan.append((later_s, Emit(event, name, into)))
        if swarm.strikes(Fault.OTHER_PAYLOAD):
            later_s = at_s + GAPS_S[swarm.amount(Fault.OTHER_PAYLOAD, len(GAPS_S))]
            self.plan.append((later_s, Emit(play.Noted("other", self._next()), name)))

    def _event(self) -> Any:
        chance, key, n = self._chance, self._key(), self._next()
        match chance.pick(9):
            case 0:
                return play.Noted(key, n)
            case 1:
                return play.Walked(key, n, chance.pick(20))
            case 2:
                return play.Fan(key, n, 1 + chance.pick(5))
            case 3 | 4:
                return play.Ordered(key, n)
            case 5:
                return play.Approved(key, n)
            case 6:
                return play.Travelled(key, n)
            case 7:
                return play.Ticked(key, n)
            case _:
                return play.Napped(key, n, (0.0, 0.5, 10.0, 60.0)[chance.pick(4)])

    def _blob(self, at_s: float, more: int) -> None:
        if any(each.offload_above for each in self._plays):
            return  # the limit is another one there
        frame = len(event_type(play.Blob).encode(play.Blob("blob", "")))
        event = play.Blob("blob", "x" * (EVENT_BYTES_MAX - frame + more))
        self.plan.append((at_s, Emit(event, f"client-{len(self.plan)}", is_bad=more > 0)))

    def _key(self) -> str:
        return KEYS[self._chance.pick(len(KEYS))]

    def _next(self) -> int:
        self._n += 1
        return self._n


def plan_of(tape: Tape, swarm: Swarm, plays: Sequence[Play] = ()) -> list[tuple[float, Deed]]:
    """What happens from outside, (virtual seconds, deed), in order; some of it in these plays."""
    chance = tape.stream("plan")
    planner, at_s = _Planner(tape, swarm, plays), 0.0
    for _ in range(DEEDS_MIN + chance.pick(DEEDS_MORE)):
        at_s += GAPS_S[chance.pick(len(GAPS_S))]
        planner.add(round(at_s, 3))
    return sorted(planner.plan, key=lambda timed: timed[0])

"""One tour: several nodes and an observer live and die on one virtual time, while faults strike them and their broker.

Theory of operation. Each life has a loop of its own, and all have one time. A turn of one of the loops that have
something to do, drawn from the tape, is one move of the world; when none has, time goes on to the next timer of any.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING, Any, Final, final

import apsw

from onstage.brokers.embedded import EmbeddedLog
from onstage.contracts.topology import Topology
from onstage.contracts.validation import event_types, validate
from onstage.testing.checks.across_stores import too_early
from onstage.testing.tour.commissions import Commissions, commissioned_app, commissions_of
from onstage.testing.tour.company import Member, Stagehand
from onstage.testing.tour.mishap import RATES_ON_TOUR, Mishap
from onstage.testing.tour.repertory import OBSERVER, SERVICES, tour_app
from onstage.testing.tour.senders import Senders, programme_of
from onstage.testing.virtual_clock import VirtualClock
from onstage.testing.virtual_loop import Killed
from onstage.testing.world.flaws import FlawedClock
from onstage.testing.world.onlooker import Onlooker
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.swarm import Fault, Swarm
from onstage.testing.world.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from onstage.app import App

__all__ = ["TourWorld", "gates"]

CRASHES_MAX: Final = 12
DOWN_S: Final = (0.0, 0.0, 0.1, 1.0, 8.0)
LONG_S: Final = (20.0, 60.0)
AWAY_S: Final = (0.0, 0.5, 7.0, 30.0)
TAILS: Final = (1, 2, 5, 20, 10_000)
SKEWS_MS: Final = (1_000, -1_000, 25_000, -25_000)
MEDDLE_S: Final = 1.5
STORM_MORE_S: Final = (2.0, 15.0, 40.0)
MOVES_MAX: Final = 200_000
"""How many moves may happen at one moment before the world is taken to run in circles."""


def gates(*, gating_only: bool, app: App | None = None) -> dict[str, dict[str, list[str]]]:
    """Which handlers owe an event something, by service and event type."""
    app = app or tour_app()
    manifest = validate(app.services, app.processes)
    handlers = [handler for handler in manifest.handlers if handler.gating or not gating_only]
    topology = Topology(handlers=tuple(handlers))
    types = [known.name for known in event_types(app.services, app.processes)]
    return {
        service: {
            name: [heard for heard, _ in topology.subscribers(name) if heard.startswith(f"{service}.")]
            for name in types
        }
        for service in SERVICES
    }


@final
class TourWorld:
    """One tour. Run it once."""

    def __init__(
        self, seed: int, folder: Path, tape: Mapping[str, Sequence[int]] | None = None, *, commissioned: bool = False
    ) -> None:
        """Everything is drawn from `seed`, or from an earlier `tape` of that seed; `commissioned` plays more."""
        self.app = commissioned_app() if commissioned else tour_app()
        self.tape = Tape(seed, tape)
        self.swarm = Swarm(self.tape, RATES_ON_TOUR)
        self.record = Onlooker()
        self.log = EmbeddedLog("tour")
        self.senders = Senders(self.swarm, self.record)
        self.commissions = Commissions(commissions_of(self.tape) if commissioned else [])
        self.members: dict[str, Member] = {}
        self.now_s = 0.0
        self.crashes = 0
        self.eyes: dict[str, apsw.Connection] = {}
        self._folder = folder
        self._order = self.tape.stream("order")
        self._clock = VirtualClock(seed, lambda: self.now_s)
        self.clocks = {name: FlawedClock(self._clock) for name in (*SERVICES, OBSERVER)}
        self._starts = dict.fromkeys((*SERVICES, OBSERVER), 0.0)
        self._back_s = inf
        self._observers = 1
        self._graveyard: list[Member] = []
        self.tallies: Counter[str] = Counter()
        self._gates = gates(gating_only=True, app=self.app)
        OUTSIDE.enter(self.swarm, lambda: self.crashes, lambda *_: None)
        self._hand = Stagehand(
            self.log,
            self.swarm,
            self._order,
            may_crash=self._may_crash,
            note=self.record.note,
            closed=self._check_end,
            app=self.app,
        )

    # Files.

    def path(self, name: str) -> Path:
        """The file of a service, or the present one of the observer."""
        return self._folder / (f"{name}-{self._observers}.db" if name == OBSERVER else f"{name}.db")

    def rows(self, name: str, sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
        """What is durable now in the store of this name; nothing before it is made."""
        path = self.path(name)
        if not path.exists():
            return []
        eye = self.eyes.get(str(path))
        if eye is None:
            eye = self.eyes[str(path)] = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return eye.execute(sql, bindings).fetchall()
        except apsw.SQLError:
            return []  # there are no tables yet

    def reader_of(self, name: str) -> Any:
        """The queries on one store, for checks."""
        return lambda sql, *bindings: self.rows(name, sql, *bindings)

    def _check_end(self, number: str) -> None:
        """The observer says that a process has ended: it must have, at this very moment."""
        found = self.rows(OBSERVER, "select wire_id from onstage_process where id = ? and open = 0", int(number))
        parts = {service: self.reader_of(service) for service in SERVICES}
        for (process,) in found:
            why = too_early(parts, self.reader_of(OBSERVER), process, self._gates)
            if why is not None:
                self.record.complain("premature", f"process {process} was said to have ended, and {why}")

    # Lives.

    def _may_crash(self) -> bool:
        return self.crashes < CRASHES_MAX and not self.swarm.is_calm

    def _start_due(self) -> None:
        for name, at_s in tuple(self._starts.items()):
            if at_s > self.now_s:
                continue
            del self._starts[name]
            clock = self.clocks[name]
            clock.wrong_ms = 0
            if self.swarm.strikes(Fault.CLOCK_SKEW):
                clock.wrong_ms = SKEWS_MS[self.swarm.amount(Fault.CLOCK_SKEW, len(SKEWS_MS))]
            member = self.members[name] = Member(name, self.path(name), clock, self._hand, self.now_s)
            self.record.note("start", name, self.now_s)
            member.begin()

    def end_life(self, name: str, down_s: float) -> None:
        """Kill a life; another one starts after so many seconds."""
        member = self.members.pop(name, None)
        if member is not None:
            self._tally(member)
            member.abandon()
            self._graveyard.append(member)
        self.record.note("end", name, self.now_s)
        self._starts[name] = max(self._starts.get(name, 0.0), self.now_s + down_s)

    def new_observer(self) -> None:
        """Throw the observer away; another one reads the log from its beginning, into a new file."""
        self.end_life(OBSERVER, 0.0)
        self._observers += 1

    def _tally(self, member: Member) -> None:
        exchange = member.node.exchange if member.node is not None else None
        if exchange is not None:
            self.tallies["republished"] += exchange.relay.republished
            self.tallies["gaps"] += exchange.intake.gaps
            self.tallies["repeated"] += exchange.intake.repeated
            self.tallies["asked"] += exchange.intake.strands.asked
        if member.observatory is not None and member.has_begun and member.is_up:
            self.tallies["observer gaps"] += member.observatory.observer.gaps

    def _killed(self, name: str) -> None:
        self.crashes += 1
        self.record.note("kill", name, self.now_s)
        self.end_life(name, DOWN_S[self._order.pick(len(DOWN_S))])

    def tally(self) -> None:
        """Count what those that live have counted."""
        for member in self.members.values():
            self._tally(member)

    # Moves.

    def run_to(self, end_s: float) -> None:
        """Run until then, through all deaths."""
        moves = 0
        while True:
            self._start_due()
            self.senders.go_on(self.members)
            self.commissions.go_on(self.now_s, self.members)
            ready = [member for member in self.members.values() if member.loop.due_s <= self.now_s]
            if ready:
                self._move(ready[self._order.pick(len(ready))] if len(ready) > 1 else ready[0])
                moves += 1
                assert moves < MOVES_MAX, "the tour runs in circles"
                continue
            next_s = min(
                [member.loop.due_s for member in self.members.values()] + [*self._starts.values(), self._back_s]
            )
            if next_s > end_s:
                self.now_s = end_s
                return
            self.now_s, moves = max(self.now_s, next_s), 0
            if self.now_s >= self._back_s:
                self._come_back()

    def _move(self, member: Member) -> None:
        try:
            member.loop.turn(self.now_s)
        except Killed:
            self._killed(member.name)
            return
        if member.loop.broken:
            context = member.loop.broken.pop()
            self.record.complain("loop", f"{member.name}: {context.get('message')} {context.get('exception')!r}")
        if member.failure is not None:
            self.record.note("no start", member.name)
            if not isinstance(member.failure, Exception):
                raise member.failure
            self.record.complain("start", f"{member.name} does not start: {member.failure!r}")
            self.end_life(member.name, 1.0)

    # The two phases.

    def storm(self) -> None:
        """Carry the programme out, while faults strike."""
        programme = programme_of(self.tape)
        calm_s = programme[-1][0] + STORM_MORE_S[self.tape.stream("plan").pick(len(STORM_MORE_S))]
        while self.now_s < calm_s or programme:
            while programme and programme[0][0] <= self.now_s:
                self.senders.sends.append(programme.pop(0)[1])
            next_s = programme[0][0] if programme else calm_s
            self.run_to(min(next_s, self.now_s + MEDDLE_S))
            self._meddle()

    def _meddle(self) -> None:
        swarm = self.swarm
        self._meddle_with_log()
        if swarm.strikes(Mishap.CURSOR_FORGOTTEN):
            self.log.forget_all()
        if swarm.strikes(Mishap.REGISTRY_LOST):
            self.log.values.clear()
        if swarm.strikes(Mishap.SERVICE_DOWN):
            which = swarm.amount(Mishap.SERVICE_DOWN, len(SERVICES))
            self.end_life(SERVICES[which], LONG_S[swarm.amount(Mishap.SERVICE_DOWN, len(LONG_S))])
        if swarm.strikes(Mishap.OBSERVER_KILLED):
            self.end_life(OBSERVER, DOWN_S[swarm.amount(Mishap.OBSERVER_KILLED, len(DOWN_S))])
        if swarm.strikes(Mishap.OBSERVER_ANEW):
            self.new_observer()

    def _meddle_with_log(self) -> None:
        swarm, log = self.swarm, self.log
        if swarm.strikes(Mishap.BROKER_AWAY):
            log.leave()
            self._back_s = self.now_s + AWAY_S[swarm.amount(Mishap.BROKER_AWAY, len(AWAY_S))]
        if log.last and swarm.strikes(Mishap.TAIL_LOST):
            self.record.note("tail lost", log.last)
            log.truncate(max(0, log.last - TAILS[swarm.amount(Mishap.TAIL_LOST, len(TAILS))]))
        if log.last and swarm.strikes(Mishap.LOG_ANEW):
            log.begin_anew()
        if swarm.strikes(Mishap.MESSAGE_DROPPED):
            found = droppable(log)
            if found:
                log.drop(found[swarm.amount(Mishap.MESSAGE_DROPPED, len(found))])

    def _come_back(self) -> None:
        self._back_s = inf
        self.log.come_back()

    def grow_calm(self) -> None:
        """No fault from now on, clocks are right, the broker is there, and everybody comes back."""
        self.swarm.is_calm = True
        for clock in self.clocks.values():
            clock.wrong_ms = 0
        if self.log.trouble is not None:
            self._come_back()
        self._starts = {name: min(at_s, self.now_s + 1.0) for name, at_s in self._starts.items()}

    def close(self) -> None:
        """End the world: nothing of it runs any more."""
        self.swarm.is_calm = True
        for member in self.members.values():
            member.abandon()
        for member in (*self._graveyard, *self.members.values()):
            member.loop.bury()
        for eye in self.eyes.values():
            eye.close(True)


def droppable(log: EmbeddedLog) -> list[int]:
    """The numbers of all messages that stand in the log."""
    return [seq for seq in range(1, log.last + 1) if log.at(seq) is not None]

"""One world: its node lives and dies, clients act, and faults strike both."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import apsw

from onstage.errors import OnstageError, UsageError
from onstage.events.receipt import Status
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.operations import operate
from onstage.testing.checks.open_files import open_descriptors
from onstage.testing.checks.stored_file import StoredFile
from onstage.testing.virtual_clock import VirtualClock
from onstage.testing.virtual_loop import Killed, VirtualLoop
from onstage.testing.world.clients import Clients
from onstage.testing.world.flaws import FlawedClock
from onstage.testing.world.life import Life
from onstage.testing.world.onlooker import Onlooker
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plan import plan_of
from onstage.testing.world.plays.play import Scene
from onstage.testing.world.power import Power
from onstage.testing.world.programme import drawn_plays, programme_of
from onstage.testing.world.swarm import Fault, Swarm
from onstage.testing.world.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from enum import StrEnum

    from onstage.testing.world.kept_file import KeptFile

__all__ = ["Result", "World"]

CRASHES_MAX: Final = 9
ACTIONS: Final = (("retry",), ("retry",), ("drop",), ("drop", "retry"), ("retry", "drop"))
"""What operators do with a dead letter, two of them at the same time now and then."""

CALM_MORE_S: Final = (1.0, 10.0, 60.0, 150.0)
SKEWS_MS: Final = (300_000, -300_000, 1_000, -1_000)
SPOILT: Final = (b'{"key": 7', b"", b"null", b"[]", b"\xff", b'{"key": 7}')
JUMPS_MS: Final = (3_600_000, -3_600_000, 300_000, -300_000)


@final
@dataclass(slots=True)
class Result:
    """What became of one world."""

    seed: int
    violations: list[str] = field(default_factory=list)
    trace_hash: str = ""
    events: int = 0
    commits: int = 0
    crashes: int = 0
    faults: Counter[StrEnum] = field(default_factory=Counter)
    marks: set[str] = field(default_factory=set)
    tape: dict[str, list[int]] = field(default_factory=dict)


@final
class World:
    """One world. Run it once."""

    def __init__(
        self, seed: int, folder: Path, kept: KeptFile, tape: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        """Everything is drawn from `seed`, or from an earlier `tape` of that seed. No other world is on `kept`."""
        self.descriptors = open_descriptors()
        self._loop_time: Callable[[], float] = float  # of the present life's loop; nothing lives at first
        self.tape = Tape(seed, tape)
        self.swarm = Swarm(self.tape)
        self.onlooker = Onlooker()
        self.clients = Clients(self.swarm, self.onlooker, self.tape.stream("acts"))
        self._drawn = self.tape.stream("programme")
        self.plays = drawn_plays(self._drawn, self.tape.stream("guests"))
        self.today = False
        self.clock = FlawedClock(VirtualClock(seed, self._time_s))
        self._order = self.tape.stream("order")
        self._power = Power(folder, self.swarm, seed, kept)
        for play in self.plays:
            self._power.offload_above = play.offload_above or self._power.offload_above
            self._power.codec = play.codec or self._power.codec
        self._graveyard: list[Life] = []
        self.crashes = 0
        self.version = 1
        self.life: Life
        self._now_s = 0.0
        self._starting = False
        self._kill_in = 0
        self.events = 0
        OUTSIDE.enter(self.swarm, lambda: self.onlooker.life, self.onlooker.called)

    @property
    def stored(self) -> StoredFile:
        """What stands in the file now."""
        return StoredFile(self.onlooker.rows, self._power.codec)

    @property
    def power_path(self) -> Path:
        """Where the file is now."""
        return self._power.path

    def _time_s(self) -> float:
        return self._loop_time()

    # Lives.

    def _may_crash(self) -> bool:
        return self.crashes < CRASHES_MAX and not self.swarm.is_calm

    def _start(self) -> None:
        """Start a node, as often as it takes."""
        while True:
            self.onlooker.life += 1
            loop = VirtualLoop(self._now_s)
            loop.on_turn = self._at_turn
            self._loop_time = loop.time
            if self.swarm.strikes(Fault.CLOCK_SKEW):
                self.clock.wrong_ms = SKEWS_MS[self.swarm.amount(Fault.CLOCK_SKEW, len(SKEWS_MS))]
            self.life = Life(
                programme_of(self.version, tuple(play.name for play in self.plays), today=self.today),
                loop,
                clock=self.clock,
                swarm=self.swarm,
                chance=self._order,
                onlooker=self.onlooker,
                may_crash=self._may_crash,
                power=self._power,
                telemetry=next((play.telemetry() for play in self.plays if play.telemetry is not None), None),
            )
            self.onlooker.note("start", self.version, self.onlooker.life)
            self._starting = True
            try:
                loop.run_until_complete(self._begin())
            except Killed:
                self.crashes += 1
                self._bury_life()
                continue
            except OnstageError:
                self._bury_life()
                continue
            finally:
                self._starting = False
            return

    async def _begin(self) -> None:
        if self.swarm.strikes(Fault.NO_START):
            raise UsageError("the store is away")
        await self.life.start()

    def _die(self) -> None:
        """The node was killed: another one is started, perhaps with other code, and the clients go on with it."""
        self.crashes += 1
        self.onlooker.note("kill", self.life.loop.time())
        zombie = None
        if self.life.is_up and not self._power.is_on and self.swarm.strikes(Fault.ZOMBIE):
            zombie = self.life.leave_zombie()
            self._graveyard.append(self.life)
            self._now_s = self.life.loop.time()
        else:
            self._bury_life()
        self._power.after_kill()
        self._choose_version()
        self._spoil_payloads()
        self._start()
        if zombie is not None:
            zombie()
        self.clients.move_to(self.life)
        if self._may_crash() and self.swarm.strikes(Fault.DOUBLE_KILL):
            self._kill_in = 1 + self.swarm.amount(Fault.DOUBLE_KILL, 12)

    def _bury_life(self) -> None:
        self._now_s = self.life.loop.time()
        self.life.abandon()
        self._graveyard.append(self.life)

    @property
    def changes(self) -> bool:
        """Whether a deployment of what it plays is still to come."""
        return not self.today and any(play.changes for play in self.plays)

    def _choose_version(self) -> None:
        if self.changes and self._drawn.pick(3) == 2:
            self.today = True
        if self.swarm.strikes(Fault.DIVERGING_CODE):
            self.version = 3
        elif self.swarm.strikes(Fault.NEW_CODE):
            self.version = 2 if self.version == 1 else 1
        elif self.version == 3:
            self.version = 1

    def _spoil_payloads(self) -> None:
        if not self.swarm.strikes(Fault.POISON):
            return
        connection = self._power.meddle()
        try:
            statement = "select distinct id >> 16 from onstage_execution where status in (0, 1, 3) order by id >> 16"
            found = [n for (n,) in connection.execute(statement)]
            if found:
                n = found[self.swarm.amount(Fault.POISON, len(found))]
                data = SPOILT[self.swarm.amount(Fault.POISON, len(SPOILT))]
                connection.execute("update onstage_event set data = ? where n = ?", (data, n))
                self.onlooker.poisoned.add(n)
        except apsw.Error:
            return  # there are no tables yet
        finally:
            connection.close(True)

    # Turns.

    def _at_turn(self, loop: VirtualLoop) -> None:
        """Before each turn of the loop: perhaps the node dies here, or tasks wake in another order."""
        swarm = self.swarm
        if swarm.is_calm:
            return
        ready: Any = loop._ready  # noqa: SLF001
        if self._kill_in and not self._starting:
            self._kill_in -= 1
            if not self._kill_in:
                loop.kill_soon()
        fault = Fault.KILL_IN_RECOVERY if self._starting else Fault.KILL_AT_TURN
        if self._may_crash() and swarm.strikes(fault):
            ready.insert(swarm.amount(fault, len(ready) + 1), loop.killer())
        if len(ready) > 1 and swarm.strikes(Fault.REORDER):
            place = swarm.amount(Fault.REORDER, len(ready))
            if place and _wakes_a_task(ready[place]):
                handle = ready[place]
                del ready[place]
                ready.appendleft(handle)

    def run_to(self, end_s: float) -> None:
        """Run until then, through all deaths of the node."""
        while True:
            loop = self.life.loop
            try:
                loop.run_to(end_s)
            except Killed:
                self._die()
                continue
            if loop.broken:
                context = loop.broken.pop()
                self.onlooker.complain("loop", f"{context.get('message')} {context.get('exception')!r}")
            return

    def call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run a coroutine on the loop; if the node dies meanwhile, it is dropped."""
        try:
            self.life.loop.run_until_complete(make())
        except Killed:
            self._die()

    # The two phases.

    def storm(self) -> None:
        """Start a node and carry the plan out, while faults strike."""
        self._start()
        self.clients.move_to(self.life)
        plan = plan_of(self.tape, self.swarm, self.plays)
        calm_s = plan[-1][0] + CALM_MORE_S[self.tape.stream("plan").pick(len(CALM_MORE_S))]
        for at_s, deed in plan:
            if at_s > self.life.loop.time():
                self.run_to(at_s)
            self.clients.begin(deed)
            self._meddle()
        while self.life.loop.time() < calm_s:
            self.run_to(min(calm_s, self.life.loop.time() + 15))
            self._meddle()

    def _meddle(self) -> None:
        """What befalls a world from time to time."""
        if self.swarm.strikes(Fault.CLOCK_JUMP):
            self.clock.wrong_ms = JUMPS_MS[self.swarm.amount(Fault.CLOCK_JUMP, len(JUMPS_MS))]
        self._power.strike()
        if self.swarm.strikes(Fault.CLIENTS_GONE):
            self.clients.go_away()
        aside = self.look_aside()
        if aside and self.swarm.strikes(Fault.OPERATOR):
            execution = aside[self.swarm.amount(Fault.OPERATOR, len(aside))]
            actions = ACTIONS[self.swarm.amount(Fault.OPERATOR, len(ACTIONS))]
            self.call(lambda: self._operate_at_once(actions, execution))

    def look_aside(self) -> list[int]:
        """What is set aside now, by number."""
        statement = "select id, status, coalesce(error, '') from onstage_execution where status in (4, 5) order by id"
        found = self.onlooker.rows(statement)
        for execution, _, error in found:
            self.onlooker.set_aside(execution, error)
        return [execution for execution, _, _ in found]

    async def _operate_at_once(self, actions: Sequence[str], execution: int) -> None:
        await asyncio.gather(*(self.operate(action, execution) for action in actions))

    async def operate(self, action: str, execution: int) -> None:
        """An operator retries or drops what is set aside."""
        together = self.stored.batch_of(execution)
        (before,) = self.onlooker.rows("select status from onstage_execution where id = ?", execution)[0]
        try:
            await operate(self.life.node, action, execution)
        except OnstageError as error:
            self.onlooker.note("operator", action, execution, type(error).__name__)
            return
        diverged = before == Status.DIVERGED
        if action == "drop":
            self.onlooker.dropped |= together
            self.onlooker.marks.add("a dead letter was dropped")
        else:
            self.onlooker.marks.add("a diverged execution was resumed" if diverged else "a dead letter was retried")

    def change_code(self, version: int) -> None:
        """Stop the node and start another one with this version of the code."""
        self.version = version
        self._bury_life()
        self._power.after_kill()
        self._start()
        self.clients.move_to(self.life)

    def end_plays(self) -> None:
        """The storm is over: operators let go of what they hold back."""
        for play in self.plays:
            if play.at_end is not None:
                scene = Scene(LocalWays(self.life.node), self.onlooker, self._drawn, end=True)
                self.life.loop.run_until_complete(play.at_end(scene))

    def grow_calm(self) -> None:
        """No fault from now on, and the clock is right."""
        self.swarm.is_calm = True
        self.clock.wrong_ms = 0
        self._power.calm()

    # The end.

    def close(self) -> None:
        """End the world: nothing of it runs any more."""
        self.swarm.is_calm = True
        if hasattr(self, "life"):
            self.life.abandon()
            self._graveyard.append(self.life)
        self.onlooker.close()
        self._power.close()
        for life in self._graveyard:
            life.loop.bury()
        for life in self._graveyard:
            life.fall_apart()

    def result(self) -> Result:
        """What became of it."""
        onlooker = self.onlooker
        return Result(
            self.tape.seed,
            onlooker.violations,
            onlooker.trace_hash,
            self.events,
            onlooker.commits,
            self.crashes,
            self.swarm.counts,
            onlooker.marks,
            self.tape.values(),
        )


def _wakes_a_task(handle: Any) -> bool:
    callback = handle._callback  # noqa: SLF001  asyncio's own
    return type(callback).__name__ in ("TaskStepMethWrapper", "TaskWakeupMethWrapper") or (
        type(getattr(callback, "__self__", None)).__name__ == "_asyncio.Task"
        or type(getattr(callback, "__self__", None)).__name__ == "Task"
    )

"""Plays the workload on a recorded disk, remembers what was acknowledged when, and goes on after a power cut."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec
from tests.faults import play
from tests.faults.checks import Place, State, check_ended, check_sound, state_of
from tests.faults.play import ACTS, app, outside

from onstage.core.commit import Commit
from onstage.errors import StoreUnavailable
from onstage.ports.store import BatchOutcome
from onstage.testing.power_disk import Operation
from onstage.testing.power_vfs import Fault, FaultKind, PowerVFS
from onstage.testing.sim_world import World
from onstage.testing.virtual_loop import Killed

CHECKPOINT_PAGES = 24  # several checkpoints in so short a play
FILE = "play.db"
DISTURBING = {FaultKind.SYNC_ERROR, FaultKind.WRITE_ERROR, FaultKind.FULL, FaultKind.SHORT_WRITE}
_numbers = count()


@dataclass
class Recording:
    """One performance: the disk's log, and at which operation what was acknowledged."""

    vfs: PowerVFS
    states: list[tuple[int, State]] = field(default_factory=list)
    """After each batch, and after opening: (operations so far, what the tables hold)."""
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    """For each state: (operations so far, commits acknowledged)."""
    answers: list[tuple[int, str | None]] = field(default_factory=list)
    """For each act that was over: (operations so far, what the client was answered)."""
    times: list[float] = field(default_factory=list)
    """For each operation: the loop's time."""
    effects: list[tuple[int, str, str, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """What opening the store was refused with."""

    promised: list[tuple[int, set[Place]]] = field(default_factory=list)
    """What was acknowledged with each batch, as the commits say it: (operations so far, events and entries)."""
    kept: frozenset[Place] = frozenset()
    """What was acknowledged before, in an earlier performance."""
    is_disturbed: bool = False
    """With faults on the way, states are not noted: a commit of unknown outcome makes some that nobody sees."""
    first: int = 0
    """How many files were there before."""
    start_s: float = 0.0

    def after(self, earlier: "Recording", at: int) -> "Recording":
        """Go on where another performance was cut."""
        self.answers.extend((0, answer) for answer in earlier.answered(at))
        self.effects.extend((0, *effect[1:]) for effect in earlier.effects if effect[0] <= at)
        self.start_s = earlier.time_at(at)
        self.kept = frozenset(earlier.promised_at(at))
        return self

    def promised_at(self, at: int) -> set[Place]:
        """Events and entries that somebody was told of after so many operations."""
        return set(self.kept).union(*(places for when, places in self.promised if when <= at))

    def time_at(self, at: int) -> float:
        """The loop's time when the power went."""
        return self.times[at] if at < len(self.times) else self.times[-1]

    @property
    def cuts(self) -> range:
        """Every moment at which the power can go."""
        return range(self.first, self.vfs.count + 1)

    def known(self, at: int) -> list[State]:
        """The states up to the one that may be on its way to the disk after so many operations."""
        whens = [when for when, _ in self.states]
        return [state for _, state in self.states[: bisect_right(whens, at) + 1]]

    def acknowledged_at(self, at: int) -> int:
        """How many states are acknowledged after so many operations."""
        return bisect_right([when for when, _ in self.acknowledged], at)

    def answered(self, at: int) -> list[str | None]:
        return [answer for when, answer in self.answers if when <= at]


class PowerGone(Exception):
    """The power went while the play was on."""


@contextmanager
def recording(
    folder: Path,
    *,
    faults: tuple[Fault, ...] = (),
    synchronous: str = "FULL",
    dies: bool = False,
    after: tuple[Recording, int] | None = None,
) -> Iterator[Recording]:
    """Perform the play from its first act on a fresh disk; with a power cut among the faults it ends there.

    If it `dies`, the process is killed after the first fault, and another one takes over on the same machine. With
    `after`, the folder holds what a cut of an earlier performance left, and the play goes on from there.
    """
    with PowerVFS(f"power-{next(_numbers)}", faults) as vfs:
        record = Recording(vfs) if after is None else Recording(vfs).after(*after)
        record.is_disturbed = any(fault.kind in DISTURBING for fault in faults)
        vfs.disk.operations.extend(
            Operation("found", str(file), 0, file.read_bytes()) for file in folder.glob(f"{FILE}*")
        )
        record.first = vfs.count
        outside.effects[:] = record.effects
        outside.now = lambda: vfs.count
        stage = Stage(folder / FILE, record, synchronous, {fault.at for fault in faults if fault.kind is FaultKind.CUT})
        stage.is_to_die = dies
        try:
            stage.perform()
        except PowerGone:
            vars(stage.world).pop("node")  # nobody closes it
        finally:
            stage.close()
            record.effects = list(outside.effects)
        yield record


class Stage:
    """The world on a recorded disk."""

    def __init__(self, path: Path, record: Recording, synchronous: str, cuts: set[int]) -> None:
        self.record = record
        self.vfs = record.vfs
        self.cuts = cuts
        self.commits: dict[int, Commit] = {}
        self.is_to_die = self.is_opening = False
        seed = 1 if not record.start_s and not record.answers else next(_numbers)
        self.world = World(app, seed, path, synchronous=synchronous, vfs=self.vfs.name, start_s=record.start_s)
        self.vfs.on_operation = self._operation
        self._plain_note = self.world.note
        self.world.note = self._note
        self._plain_start = self.world.start
        self.world.start = self._start

    def perform(self) -> None:
        """Open, then act by act."""
        self.world.start()
        for act in ACTS[len(self.record.answers) :]:
            answer = act(self.world)
            self.record.answers.append((self.vfs.count, answer))

    def _start(self) -> None:
        """Start a node, again and again while the store does not open, as an operator would."""
        if self.vfs.is_cut:
            raise PowerGone
        before = self.record.acknowledged[-1][1] if self.record.acknowledged else 0
        while not self._opens():
            self.world.loop.run_to(self.world.loop.time() + 1)
        self.commits = {}
        plain, append = self.world.store.on_batch, self.world.store.append

        def appended(commit: Commit) -> int:
            position = append(commit)
            self.commits[position] = msgspec.structs.replace(commit)
            return position

        self.world.store.append = appended

        def on_batch(outcome: BatchOutcome) -> None:
            self._promise(outcome)
            self.record.acknowledged.append((self.vfs.count, before + outcome.position))
            plain(outcome)

        self.world.store.on_batch = on_batch
        self._reached()
        self.record.acknowledged.append((self.vfs.count, before))

    def _promise(self, outcome: BatchOutcome) -> None:
        refused = {refusal.commit.position for refusal in outcome.refused}
        told, self.commits = self.commits, {}
        places = set[Place]()
        for position, commit in told.items():
            if position > outcome.position:
                self.commits[position] = commit
            elif position not in refused:
                places.update((event.n,) for event in commit.events)
                length = len(commit.entries) + (commit.transaction is not None)
                places.update((commit.execution, commit.expected + place) for place in range(length))
        self.record.promised.append((self.vfs.count, places))

    def _opens(self) -> bool:
        self.is_opening = True
        try:
            self._plain_start()
        except StoreUnavailable as error:
            self.record.refusals.append(str(error))
            return False
        finally:
            self.is_opening = False
        return True

    def _operation(self, number: int) -> None:
        if number in self.cuts:
            self.world.loop.kill_soon()
        if self.is_to_die and self.vfs.met:
            self.is_to_die = False
            self.vfs.kill()
            if not self.is_opening:  # else opening fails, and is tried again by the next process
                self.world.loop.kill_soon()
        self.record.times.append(self.world.loop.time())
        trouble = self.world.store.trouble if hasattr(self.world, "store") else None
        if trouble is not None and trouble not in self.record.troubles:
            self.record.troubles.append(trouble)

    def _note(self, *what: object) -> None:
        if what[0] == "batch" and what[2] == "after":
            self._reached()
        self._plain_note(*what)

    def _reached(self) -> None:
        if not self.record.is_disturbed:
            self.record.states.append((self.vfs.count, state_of(self.world.path)))

    def close(self) -> None:
        with suppress(StoreUnavailable, Killed):
            self.world.close()


@contextmanager
def survivors(record: Recording, at: int, seed: int, folder: Path) -> Iterator[Path]:
    """The files that a cut leaves, in a folder of their own."""
    place = folder / "left"
    place.mkdir(exist_ok=True)
    record.vfs.disk.leave(at, seed, place)
    yield place / FILE
    for file in place.iterdir():
        file.unlink()


def check_kept(record: Recording, at: int, path: Path) -> None:
    """What a cut left is sound, all that was acknowledged is there, and nothing is there by half."""
    state, acknowledged = check_sound(path), record.acknowledged_at(at)
    lost = record.promised_at(at) - (frozenset() if state is None else state.places)
    assert not lost, f"lost: {len(lost)} acknowledged events and entries"
    if not acknowledged or record.is_disturbed:
        return
    assert state is not None, "lost: all of it"
    missing = record.states[acknowledged - 1][1].facts - state.facts
    assert not missing, f"lost: {len(missing)} acknowledged rows"
    if not record.vfs.is_cut:  # else nobody has seen the batch that was on its way
        assert state in record.known(at)[acknowledged - 1 :], "a state that there never was"


def count_lost(record: Recording, at: int, path: Path) -> int:
    """Where losses are allowed: how many acknowledged commits are gone. What is left is a state that there once was."""
    state, acknowledged = check_sound(path), record.acknowledged_at(at)
    if not acknowledged:
        return 0
    if state is None:
        return record.acknowledged[acknowledged - 1][1]
    known = [known.digest for known in record.known(at)]
    assert state.digest in known or state.facts < record.states[0][1].facts, "a state that there never was"
    if state.digest not in known:
        return record.acknowledged[acknowledged - 1][1]
    last = len(known) - 1 - known[::-1].index(state.digest)
    return max(0, record.acknowledged[acknowledged - 1][1] - record.acknowledged[last][1])


def go_on(record: Recording, at: int, path: Path) -> World:
    """Start a new node on what is left at the time of the cut; let the clients go on until all is over."""
    outside.effects[:] = [effect for effect in record.effects if effect[0] <= at]
    outside.now = lambda: at
    world = World(app, 1_000_000 + at, path, start_s=record.time_at(at))
    world.start()
    answered = record.answered(at)
    answers = [*answered, *(act(world) for act in ACTS[len(answered) :])]
    first, again = (answers[place] for place in play.ANSWERED_ALIKE)
    assert first == again, "the same event with the same id became another process"
    return world


def check_goes_on(record: Recording, at: int, path: Path, repeated: list[str]) -> None:
    """After the cut everything ends as if there had been none."""
    world = go_on(record, at, path)
    try:
        world.settle()
        check_ended(world, repeated)
    finally:
        world.close()

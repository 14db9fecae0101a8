"""Random processes, played out by a simulator that knows everything: what each commit opened and settled.

Nothing of the engine is used but the names of receipts and tokens. The simulator keeps its own set of what is to be
done; tokens and obligations are written from what each event owes under the topology that was in force at its emission.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from onstage.events.receipt import Status, token
from onstage.events.wire_receipt import WireReceipt

TYPES = 6
WRITERS = 3  # services with stores of their own
EVENTS_MAX = 60
SETTLES = (Status.DONE,) * 12 + (Status.REJECTED, Status.SKIPPED, Status.DROPPED, Status.CANCELLED, Status.WRITTEN_OFF)


class Topology(NamedTuple):
    """Who hears what: gating handlers, those that do not gate, and who may wait."""

    gating: dict[int, frozenset[str]]
    beside: dict[int, frozenset[str]]
    waits: dict[int, frozenset[str]]

    def owed(self, kind: int) -> frozenset[str]:
        """What an event of this kind obliges to."""
        return self.gating[kind] | {f"{name}/wait" for name in self.waits[kind]}


class Told(NamedTuple):
    """One receipt, where it stands in its writer's strand, what its outputs open, and which effect it had if any."""

    writer: int
    seq: int
    receipt: WireReceipt
    opens: tuple[tuple[str, str], ...]
    effect: int | None


@dataclass
class Task:
    """One obligation that is open, as the simulator knows it. `hopes` are the types that it waits for."""

    event: str
    handler: str
    segment: int = 0
    gating: bool = True
    hopes: frozenset[int] = frozenset()
    tries: int = 0
    last: int | None = None


class Effect(NamedTuple):
    """What a commit opened and settled, and the commit that it followed from: of its execution, or its cause."""

    opened: frozenset[tuple[str, str]]
    settled: frozenset[tuple[str, str]]
    after: int | None


@dataclass
class Story:
    """What happened in one process. `owing` is how many obligations were open after each commit."""

    told: list[Told] = field(default_factory=list)
    owing: list[int] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    has_extra: bool = False
    kinds: set[str] = field(default_factory=set)


class Player:
    """Plays one process to its end, or to where it hangs."""

    def __init__(self, random: Random, process: str) -> None:
        self.random, self.process = random, process
        self.story = Story()
        self.tasks: list[Task] = []
        self.types: dict[str, int] = {}
        self.epochs = [_topology(random)]
        self.seqs = [[0] * WRITERS]
        self.incarnation = [0] * WRITERS
        self.count = random.choice((0, 1, 2, 4, 8, 16, 16, EVENTS_MAX))
        self.hlc = 0
        self.moves = 0

    def play(self) -> Story:
        """From the root to the end."""
        self._outside(self.process)
        joining = sorted(self.random.sample(range(1, 12), 3))
        hangs = self.random.random() < 0.05
        while self.tasks and self.moves < 600:
            self.moves += 1
            if self.moves in joining:
                self._new_epoch(leaves=joining.index(self.moves) == 2)
            if hangs and self.moves > 8:
                break
            if self.random.random() < 0.02 and self.count:
                self._extra()
            if self.tasks:  # the last one may just have been retired
                self._move(self.random.choice(self.tasks))
        if self.random.random() < 0.04 and not self.tasks:  # a finished process reopens
            self._extra()
            while self.tasks and self.moves < 700:
                self.moves += 1
                self._move(self.random.choice(self.tasks))
        return self.story

    # What comes from outside.

    def _outside(self, event: str) -> None:
        outside = Task(event, "", 0)
        self._commit(outside, Status.READY, [(event, self.random.randrange(TYPES))], closes=False)

    def _extra(self) -> None:
        self.story.has_extra = True
        self.story.kinds.add("extra")
        self._outside(self._next_event())

    def _new_epoch(self, *, leaves: bool) -> None:
        last, random = self.epochs[-1], self.random
        gating = {kind: set(names) for kind, names in last.gating.items()}
        if leaves:
            gone = random.choice(sorted(set().union(*gating.values())) or ["h0"])
            self.epochs.append(last._replace(gating={t: frozenset(names - {gone}) for t, names in gating.items()}))
            for task in [each for each in self.tasks if each.handler == gone and each.gating]:
                self.story.kinds.add("retired")
                self._settle(task, Status.WRITTEN_OFF, [])  # the registry's record answers for it
            return
        name, kind = f"n{len(self.epochs)}", random.randrange(TYPES)
        gating[kind].add(name)
        self.epochs.append(last._replace(gating={t: frozenset(names) for t, names in gating.items()}))
        if random.random() < 0.5 and self.tasks:  # it hears what was before, while the process is open
            self.story.kinds.add("earliest")
            for event in [event for event, of in self.types.items() if of == kind]:
                self._late_subscriber(event, name)

    def _late_subscriber(self, event: str, name: str) -> None:
        self.story.has_extra = True
        self._write(Task(event, name), Status.READY, token(self.process, event, name, 0), (), ((event, name),))
        self.tasks.append(Task(event, name))
        self._account(self.tasks[-1], {(event, name)}, set())

    # What an execution does.

    def _move(self, task: Task) -> None:
        random = self.random
        draw = random.random()
        if random.random() < 0.025:  # dies before its commit: whatever it did is done once more
            self.story.kinds.add("crash before")
            self._restart(task)
        elif task.hopes:
            self._wait(task)
        elif draw < 0.12 and task.gating and self.count:
            self.story.kinds.add("segment")  # emits, and goes on: perhaps to wait for what follows from that
            outputs = self._outputs(random.randint(1, 2))
            self._commit(task, Status.RUNNING, outputs)
            task.segment += 1
            if random.random() < 0.5:
                self.story.kinds.add("own consequence")
                task.hopes = frozenset(kind for _, kind in outputs)  # a request's answer, or a join of branches
                self.story.kinds.add("join" if len(task.hopes) > 1 else "answer")
        elif draw < 0.3 and task.gating and task.tries < 3:
            task.tries += 1
            status = random.choice((Status.WAITING, Status.RETRYING, Status.PARKED, Status.DIVERGED, Status.RUNNING))
            self.story.kinds.add(status.name.lower())
            self._write(task, status, 0, (), ())
            if status is Status.WAITING:
                task.hopes = frozenset({random.randrange(TYPES)})
        else:
            self._settle(task, random.choice(SETTLES), self._outputs(random.choice((0, 1, 1, 2, 3))))
        if random.random() < 0.025:
            self.story.kinds.add("crash after")
            self._restart(task)

    def _wait(self, task: Task) -> None:
        """A wait ends when its event has come, or in vain."""
        races = self.random.random() < 0.3
        found = task.hopes & set(self.types.values())
        came = bool(found) if races else found == task.hopes
        if came or self.random.random() < 0.2:
            self.story.kinds.add(("race" if races else "answered") if came else "timeout")
            task.hopes = frozenset()
            self._settle(task, Status.DONE, self._outputs(self.random.choice((0, 1, 2))))
        else:
            self._write(task, Status.WAITING, 0, (), ())

    def _settle(self, task: Task, status: Status, outputs: list[tuple[str, int]]) -> None:
        if status not in (Status.DONE, Status.REJECTED):
            outputs = []
        if not task.gating:  # what it puts out begins processes of its own
            self.story.kinds.add("not gating")
            self._write(task, status, 0, (), ())
            self.tasks.remove(task)
            return
        self._commit(task, status, outputs)

    def _restart(self, task: Task) -> None:
        """A new incarnation of the writer, whose strand begins at 1."""
        self.incarnation[_writer(task.handler)] += 1
        if max(self.incarnation) >= len(self.seqs):
            self.seqs.append([0] * WRITERS)

    # Commits.

    def _outputs(self, most: int) -> list[tuple[str, int]]:
        made = min(most, self.count)
        self.count -= made
        return [(self._next_event(), self.random.randrange(TYPES)) for _ in range(made)]

    def _next_event(self) -> str:
        self.moves += 1
        return f"{self.process}.{len(self.types)}.{self.moves}"

    def _commit(self, task: Task, status: Status, outputs: list[tuple[str, int]], *, closes: bool = True) -> None:
        topology = self.epochs[-1]
        delta, opens, opened = 0, list[tuple[str, str]](), set[tuple[str, str]]()
        for event, kind in outputs:
            self.types[event] = kind
            for name in sorted(topology.owed(kind)):
                delta ^= token(self.process, event, name, 0)
                opens.append((event, name))
            opened |= {(event, name) for name in topology.gating[kind]}
            opened |= {(event, f"{name}/wait") for name in topology.waits[kind]}
        if closes:
            delta ^= token(self.process, task.event, task.handler, task.segment)
            if status.is_open:
                delta ^= token(self.process, task.event, task.handler, task.segment + 1)
            else:
                self.tasks.remove(task)
        said = tuple((event, f"t{kind}") for event, kind in outputs) if closes else ()
        self._write(task, status, delta, said, tuple(opens))
        settled = {(task.event, task.handler)} if closes and not status.is_open else set()
        self._account(task, opened, settled)
        for event, kind in outputs:
            self.tasks += [Task(event, name, last=task.last) for name in sorted(topology.gating[kind])]
            self.tasks += [Task(event, name, gating=False) for name in sorted(topology.beside[kind])]
            for name in sorted(topology.waits[kind]):
                self._mail(Task(event, name, last=task.last), kind)

    def _mail(self, task: Task, kind: int) -> None:
        """What a mailbox owes is settled at once, whether somebody waits, nobody does, or did until lately."""
        event, name = task.event, task.handler
        hopes = any(each.handler == name and kind in each.hopes for each in self.tasks)
        status = Status.CONSUMED if hopes else self.random.choice((Status.UNMATCHED, Status.LATE))
        self._write(task, status, token(self.process, event, f"{name}/wait", 0), (), ())
        self._account(task, set(), {(event, f"{name}/wait")})

    def _write(
        self,
        task: Task,
        status: Status,
        delta: int,
        outputs: tuple[tuple[str, str], ...],
        opens: tuple[tuple[str, str], ...],
    ) -> None:
        writer = _writer(task.handler)
        life = self.incarnation[writer]
        self.seqs[life][writer] += 1
        self.hlc += 1
        body = delta.to_bytes(16, "big")
        place = (self.process, task.event, task.handler, task.segment, int(status), self.hlc)
        receipt = WireReceipt(*place, body, outputs, until=self.hlc + 9 if status is Status.WAITING else None)
        epoch = life * WRITERS + writer + 1
        effect = len(self.story.effects) if delta or not task.handler else None
        self.story.told.append(Told(epoch, self.seqs[life][writer], receipt, opens, effect))

    def _account(self, task: Task, opened: set[tuple[str, str]], settled: set[tuple[str, str]]) -> None:
        """The omniscient count: pairs of event and handler, from nothing but what the simulator did."""
        before = self.story.owing[-1] if self.story.owing else 0
        self.story.owing.append(before + len(opened) - len(settled))
        self.story.effects.append(Effect(frozenset(opened), frozenset(settled), task.last))
        task.last = len(self.story.effects) - 1


def _topology(random: Random) -> Topology:
    names = [f"h{place}" for place in range(5)]
    gating = {kind: frozenset(random.sample(names, random.choice((0, 1, 1, 2, 2)))) for kind in range(TYPES)}
    waits = {kind: frozenset(random.sample(names, random.choice((0, 0, 0, 1)))) for kind in range(TYPES)}
    beside = {kind: frozenset({"log"} if random.random() < 0.2 else ()) for kind in range(TYPES)}
    return Topology(gating, beside, waits)


def _writer(handler: str) -> int:
    return sum(handler.encode()) % WRITERS if handler else 0


def story_of(seed: int) -> Story:
    """The story of one seed; the same each time."""
    return Player(Random(seed), f"p{seed}").play()


def stories(first: int, count: int) -> Iterator[tuple[int, Story]]:
    """Stories of consecutive seeds."""
    for seed in range(first, first + count):
        yield seed, story_of(seed)

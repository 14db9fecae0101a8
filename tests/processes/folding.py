"""Receipts on their way to a ledger: repeated, out of order, and to one that dies and is made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from tests.processes.story import Story, Told, stories

from onstage.observe.ledger import Ledger

DUPLICATES, REORDERED, DEATHS = 0.2, 0.1, 0.02
DISTANCE_MAX = 25


class Fold(Protocol):
    """What is tried: a ledger, or something that takes its place."""

    def apply(self, epoch: int, shard: int, seq: int, receipt: Any, opens: Any = ...) -> bool:
        """Take one receipt."""

    def is_complete(self, process: Any) -> bool:
        """Whether the process is finished."""


@dataclass
class Figures:
    """What came of many processes. `wrong` says what was wrong, with the seed."""

    processes: int = 0
    receipts: int = 0
    deliveries: int = 0
    deaths: int = 0
    complete: int = 0
    premature: int = 0
    missing: int = 0
    unbalanced: int = 0
    differing: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """In one line."""
        said = f"{self.processes:,} processes, {self.receipts:,} receipts in {self.deliveries:,} deliveries"
        ends = f"{self.complete:,} completed, {self.premature} premature, {self.missing} missing"
        books = f"{self.unbalanced} unbalanced, {self.differing} with differing rows"
        return f"{said}, {self.deaths:,} folds killed and rebuilt: {ends}, {books}"


class Truth:
    """The omniscient count over the commits whose receipts were delivered."""

    def __init__(self, story: Story) -> None:
        """Nothing was delivered yet."""
        self.story = story
        self.delivered: set[int] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.odd = 0
        self.lacking: set[int] = set()

    def deliver(self, told: Told) -> None:
        """A receipt has arrived; once more makes no difference."""
        if told.effect is None or told.effect in self.delivered:
            return
        self.delivered.add(told.effect)
        opened, settled, after = self.story.effects[told.effect]
        self.lacking.discard(told.effect)
        if after is not None and after not in self.delivered:
            self.lacking.add(after)
        for pair, amount in (*((pair, 1) for pair in opened), *((pair, -1) for pair in settled)):
            before = self.counts[pair]
            self.counts[pair] = before + amount
            self.odd += (before + amount != 0) - (before != 0)

    @property
    def is_finished(self) -> bool:
        """Whether the process has ended: in truth, or, where more came in from outside, in what was delivered."""
        if self.story.has_extra:
            return 0 in self.delivered and not self.odd and not self.lacking
        return len(self.delivered) == len(self.story.effects) and self.story.owing[-1] == 0


def disturbed(story: Story, random: Random) -> list[Told]:
    """The receipts as an unreliable way delivers them: each at least once."""
    placed: list[tuple[float, Told]] = []
    for place, told in enumerate(story.told):
        away = random.randint(-DISTANCE_MAX, DISTANCE_MAX) if random.random() < REORDERED else 0
        placed.append((place + away, told))
        if random.random() < DUPLICATES:
            placed.append((place + random.uniform(0, 2 * DISTANCE_MAX), told))
    return [told for _, told in sorted(placed, key=lambda each: each[0])]


def fold(seed: int, story: Story, figures: Figures, new: Callable[[], Any] = Ledger) -> None:
    """Deliver one story to a fold that may be killed, and compare what it says with the truth after each receipt."""
    random, process = Random(~seed), f"p{seed}"
    arriving = disturbed(story, random)
    ledger, truth, at = new(), Truth(story), 0
    kept: tuple[int, bytes | None] = (0, None)
    premature = missing = unbalanced = 0
    while at < len(arriving):
        draw = random.random()
        if draw < DEATHS and isinstance(ledger, Ledger):
            figures.deaths += 1
            at, body = kept if random.random() < 0.7 else (0, None)  # from a checkpoint, or from zero
            ledger, truth = new() if body is None else Ledger.from_checkpoint(body), Truth(story)
            for told in arriving[:at]:
                truth.deliver(told)
            kept = (at, body)
        elif draw < 2 * DEATHS and isinstance(ledger, Ledger):
            kept = (at, ledger.checkpoint())
        told = arriving[at]
        at += 1
        ledger.apply(told.writer, 0, told.seq, told.receipt, told.opens)
        truth.deliver(told)
        figures.deliveries += 1
        premature += ledger.is_complete(process) and not truth.is_finished
        missing += truth.is_finished and not ledger.is_complete(process)
        if isinstance(ledger, Ledger):
            unbalanced += ledger.is_quiescent(process) != (not ledger.open(process))
    _sum_up(figures, seed, story, ledger, (premature, missing, unbalanced))


def _sum_up(figures: Figures, seed: int, story: Story, ledger: Any, found: tuple[int, int, int]) -> None:
    calm = Ledger()
    for told in story.told:
        assert calm.apply(told.writer, 0, told.seq, told.receipt, told.opens), "the story numbers its receipts"
    differs = isinstance(ledger, Ledger) and ledger.rows() != calm.rows()
    claims = ledger.is_complete(f"p{seed}")
    wrong = {
        "premature": bool(found[0]),
        "missing": bool(found[1]) or claims != (story.owing[-1] == 0),
        "unbalanced": bool(found[2]),
        "differing": differs,
    }
    figures.processes += 1
    figures.receipts += len(story.told)
    figures.complete += claims
    figures.kinds.update(story.kinds)
    for name, is_wrong in wrong.items():
        setattr(figures, name, getattr(figures, name) + is_wrong)
        if is_wrong:
            figures.wrong.append(f"seed {seed}: {name}; again: python -m tests.processes --first {seed} --count 1")


def fold_many(first: int, count: int, new: Callable[[], Any] = Ledger) -> Figures:
    """Fold the stories of consecutive seeds."""
    figures = Figures()
    for seed, story in stories(first, count):
        fold(seed, story, figures, new)
    return figures


class PlainCounter:
    """The naive way, planted: counts what was opened and what was settled, each receipt once."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self.count = 0
        self.rooted = False
        self.applied: set[tuple[int, int]] = set()

    def apply(self, epoch: int, shard: int, seq: int, receipt: Any, opens: Any = ()) -> bool:
        """Count one receipt."""
        if (epoch, seq) in self.applied:
            return False
        self.applied.add((epoch, seq))
        self.rooted = self.rooted or (not receipt.handler and receipt.event == receipt.process)
        # A segment that goes on closes one and opens one.
        settles = receipt.handler and receipt.status >= 6 and any(receipt.delta)
        self.count += len(opens) - bool(settles)
        return True

    def is_complete(self, process: Any) -> bool:
        """Whether as many were settled as were opened."""
        return self.rooted and self.count == 0

"""The memory store and the SQLite store give the same results and the same errors, whatever is asked of them."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.fuzz.store_pair import Pair
from tests.fuzz.store_story import OPERATIONS, draw
from tests.fuzz.tape_search import Search, shrunk

from onstage.core.commit import RefusedBecause
from onstage.events.receipt import OPEN_MAX
from onstage.stores import batch, memory
from onstage.stores.sqlite import reader, store

FIRST_SEED = 20_260_000
SEQUENCES = 700
LENGTH = 30
PLANT_SEQUENCES_MAX = 400
PLANT_OPERATIONS_MAX = 8

OFTEN = 10
REFUSALS = ("conflict", "stale epoch", "felled", "duplicate", "user")
MUST_HAPPEN = (
    *(f"durable: {because}" for because in ("nothing", *REFUSALS)),
    *(f"look {n}" for n in range(11)),
    *(f"look {n}: nothing" for n in range(10)),
    *("closed", "open", "mail", "unread", "receipts", "receipts one by one", "execution", "ahead", "ahead: nothing"),
)


def test_the_same_sequences_have_the_same_results_and_errors(tmp_path: Path) -> None:
    search = Search(tmp_path)
    found = search.first(range(FIRST_SEED, FIRST_SEED + SEQUENCES), LENGTH)
    assert found is None
    rare = {what: search.seen[what] for what in MUST_HAPPEN if search.seen[what] < OFTEN}
    assert not rare, f"too rare to say anything about it: {rare}"


def test_long_sequences_agree_too(tmp_path: Path) -> None:
    assert Search(tmp_path).first(range(FIRST_SEED, FIRST_SEED + 20), 20 * LENGTH) is None


def test_a_tape_tells_the_same_story_every_time(tmp_path: Path) -> None:
    tape = draw(Random(FIRST_SEED), 10 * LENGTH)
    assert tape == draw(Random(FIRST_SEED), 10 * LENGTH)
    first, second = Search(tmp_path), Search(tmp_path)
    assert first.play(tape) is second.play(tape) is None
    assert first.seen == second.seen
    assert {kind for kind, *_ in tape} == set(range(len(OPERATIONS)))


# --- planted differences ----------------------------------------------------------------------------------


class NoFelling(batch.Batch):
    def _descends_from_refused(self, after: tuple[int, ...]) -> bool:
        return False


class OneLevel(batch.Batch):
    """What a felled commit brought is not felled with it."""

    def _descends_from_refused(self, after: tuple[int, ...]) -> bool:
        own = {refusal.commit.position for refusal in self.refused if refusal.because != RefusedBecause.FELLED}
        return not own.isdisjoint(after) or not self._refused_before.isdisjoint(after)


class AnyLength(batch.Batch):
    def _conflict(self, commit: Any) -> Any:
        refusal = super()._conflict(commit)
        row = self._peeked.get(commit.execution)
        return None if refusal is not None and row is not None and row[batch.STATUS] <= OPEN_MAX else refusal


class ForgetfulDoor(batch.Batch):
    def _seen_at_the_door(self, commit: Any, door: Any) -> Any:
        refusal = super()._seen_at_the_door(commit, door)
        return None if refusal is not None and refusal.existing is None else refusal


class OldEpochs(batch.Batch):
    def _refusal(self, commit: Any) -> Any:
        commit.epoch = max(commit.epoch, self._peek.epoch)
        return super()._refusal(commit)


class FirstOutcome(batch.Batch):
    """The last outcome stands instead of the first."""

    def _note_outcome(self, event: Any) -> None:
        self._process(event.process).outcome = None
        super()._note_outcome(event)


class LateEnd(batch.Batch):
    def close_ledger(self) -> Any:
        for row in self.processes.values():
            if not row.open and row.ended is not None:
                row.ended += 1
        return super().close_ledger()


class ShortBundle(batch.Batch):
    """Of several receipts of one shard the last is lost."""

    def bundles(self) -> Any:
        for shard, receipts in self._receipts.items():
            self._receipts[shard] = receipts[:-1] or receipts
        return super().bundles()


def plant_batch(kind: type[Any]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(memory, "Batch", kind)


def plant_query(name: str, old: str, new: str) -> Callable[[pytest.MonkeyPatch], None]:
    def plant(patch: pytest.MonkeyPatch) -> None:
        real = reader.query
        assert old in real(name)
        patch.setattr(reader, "query", lambda asked: real(asked).replace(old, new) if asked == name else real(asked))

    return plant


def no_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory.MemoryRows, "check", lambda *_: None)


def kept_seqs(patch: pytest.MonkeyPatch) -> None:
    real = memory.MemoryStore._begin  # noqa: SLF001

    def begin(self: Any) -> None:
        seqs = getattr(self, "_seqs", None)
        real(self)
        self._seqs = seqs or self._seqs

    patch.setattr(memory.MemoryStore, "_begin", begin)


def close_in_a_hurry(patch: pytest.MonkeyPatch) -> None:
    async def close(self: Any) -> None:
        self.abandon()

    patch.setattr(store.SqliteStore, "close", close)


PLANTS = {
    "felling left out": plant_batch(NoFelling),
    "felling reaches one level": plant_batch(OneLevel),
    "another journal length is let in": plant_batch(AnyLength),
    "the same id with another payload is let in": plant_batch(ForgetfulDoor),
    "an older epoch is let in": plant_batch(OldEpochs),
    "the last outcome stands": plant_batch(FirstOutcome),
    "a process ends a millisecond late": plant_batch(LateEnd),
    "an event number twice": no_check,
    "receipts go on counting after a restart": kept_seqs,
    "a receipt is lost from its bundle": plant_batch(ShortBundle),
    "an execution stands behind itself": plant_query("ahead", "x.id < :execution", "x.id <= :execution"),
    "closing forgets what is appended": close_in_a_hurry,
    "a page begins one too early": plant_query("mail", "m.n > :after", "m.n >= :after"),
    "unread shows who does not wait": plant_query("unread", "x.status = 2", "x.status <> 1"),
    "closed processes are open by key": plant_query("processes_by_key", "NOT :open_only OR ", "1 OR "),
    "executions of a process skip a page": plant_query(
        "executions_of_process", "e.n >= :after >> 16", "e.n > :after >> 16"
    ),
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_planted_difference_is_found_and_made_small(
    plant: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = Search(tmp_path).first(range(PLANT_SEQUENCES_MAX), LENGTH)
    assert found is not None, f"not found in {PLANT_SEQUENCES_MAX} sequences"
    assert len(found.tape) <= PLANT_OPERATIONS_MAX, found
    assert "memory:" in found.what


def test_shrinking_keeps_what_matters() -> None:
    tape = [(n % 7, n, n + 1) for n in range(30)]
    small = shrunk(tape, lambda smaller: any(kind == 3 and number > 5 for kind, number, _ in smaller))
    ((kind, number, other),) = small
    assert (kind, other) == (3, 0)
    assert number > 5


def test_an_exception_in_the_story_is_no_agreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pair, "append", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        Search(tmp_path).first(range(1), LENGTH)

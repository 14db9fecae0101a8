"""The memory store and the SQLite store side by side: the same is asked of both, and the answers are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, final

import msgspec

from onstage.core.commit import Commit, RefusedBecause
from onstage.errors import StoreUnavailable
from onstage.ports.store import BatchOutcome, Declaration, Opened, Reader, Refused
from onstage.stores.memory import MemoryStore
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.inline_workers import InlineWorkers
from onstage.testing.virtual_clock import VirtualClock

__all__ = ["Differs", "Pair"]

SEED: Final = 7


@final
class Differs(AssertionError):
    """The two stores do not agree; the text has the question and both answers."""


@final
class Pair:
    """Two stores that were asked the same from the beginning. `folder` is empty and of this pair alone."""

    def __init__(self, folder: Path) -> None:
        """Make both."""
        self._path = folder / "store.db"
        self._workers = InlineWorkers()
        self._clocks = VirtualClock(SEED, lambda: 0.0), VirtualClock(SEED, lambda: 0.0)
        self.memory = MemoryStore(clock=self._clocks[0], workers=self._workers)
        # As in a store with transactions; these functions touch no tables, so they need no connection.
        self.memory.transact = lambda transaction: transaction.run(None)  # type: ignore[method-assign]
        self.sqlite = self._on_file()
        self._reported: tuple[list[BatchOutcome], list[BatchOutcome]] = [], []
        self._defect = False
        self.seen: Counter[str] = Counter()

    def _on_file(self) -> SqliteStore:
        return SqliteStore(self._path, clock=self._clocks[1], workers=self._workers, synchronous="OFF", lock_wait_s=0)

    # Life.

    async def open(self, declaration: Declaration) -> Opened:
        """Open both."""
        opened: Opened = await self.ask("open", lambda store: store.open(declaration))
        self.memory.on_batch, self.sqlite.on_batch = self._reported[0].append, self._reported[1].append
        return opened

    async def restart(self, declaration: Declaration) -> Opened:
        """Close both and open them as the next process would."""
        await self.ask("close", lambda store: store.close())
        await self.compare_reports()
        return await self._again(declaration)

    async def crash(self, declaration: Declaration) -> Opened:
        """Kill both with what they have not written, and open them as the next process would."""
        self.memory.abandon()
        self.sqlite.abandon()
        return await self._again(declaration)

    async def _again(self, declaration: Declaration) -> Opened:
        self.sqlite = self._on_file()
        return await self.open(declaration)

    async def close(self) -> None:
        """Close both, however they stand."""
        await self.memory.close()
        await self.sqlite.close()
        await self._workers.close()

    # Asking.

    def append(self, commit: Commit) -> int:
        """Append to both; each gets a commit of its own."""
        positions = [store.append(msgspec.structs.replace(commit)) for store in (self.memory, self.sqlite)]
        _same("append", *positions)
        _same("undurable", self.memory.undurable, self.sqlite.undurable)
        return positions[0]

    def flush(self) -> None:
        """Hand everything appended to both writers."""
        self.memory.flush()
        self.sqlite.flush()

    async def settled(self, position: int) -> Any:
        """What became of a position, in a form that can be compared."""
        return await self.ask(f"durable({position})", lambda store: store.durable(position))

    async def read(self, what: str, question: Callable[[Reader], Awaitable[Any]]) -> Any:
        """What both readers answer."""
        return await self.ask(what, lambda store: question(store.reader))

    async def receipts(self, what: str, *, after: int = 0, limit: int = 10_000) -> None:
        """Compare bundles; after a defect what is in them, as each store takes such a batch apart in its own way."""
        if not self._defect:
            await self.read(what, lambda r: r.receipts(after=after, limit=limit))
            return
        await self.read(f"{what} one by one", _one_by_one)

    async def ask(self, what: str, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """The answer of both to one question. Raises Differs."""
        answers = [await _answer(question(store)) for store in (self.memory, self.sqlite)]
        _same(what, *answers)
        self._note(what, answers[0])
        return answers[0]

    def _note(self, what: str, answer: Any) -> None:
        kind = what.partition("(")[0]
        match answer:
            case (int(), str() as because, *_):
                self.seen[f"{kind}: {because}"] += 1
            case type():
                self.seen[f"{kind}: {answer.__name__}"] += 1
            case None | []:
                self.seen[f"{kind}: nothing"] += 1
            case dict() if not answer:
                self.seen[f"{kind}: nothing"] += 1
            case _:
                self.seen[kind] += 1

    # Reports.

    async def compare_reports(self) -> None:
        """What was reported of the batches since the last time. Raises Differs."""
        memory, sqlite = (_Report(list(outcomes)) for outcomes in self._reported)
        for outcomes in self._reported:
            outcomes.clear()
        _same("refused", memory.refused, sqlite.refused)
        _same("results", memory.results, sqlite.results)
        _same("last position", memory.position, sqlite.position)
        self._defect = self._defect or memory.has_defect
        if memory.has_defect:  # each store takes the batch apart in its own way; what is closed in the end is the same
            at_last = [await self._closed_at_last(report) for report in (memory, sqlite)]
            _same("closed at last", *at_last)
            return
        _same("closed", memory.closed, sqlite.closed)
        self.seen["closed"] += len(memory.closed)
        if not self._defect:
            _same("statistics", self.memory.statistics(), self.sqlite.statistics())

    async def _closed_at_last(self, report: _Report) -> dict[int, Any]:
        last = {closed.process: closed for closed in report.closed}
        views = {process: await self.memory.reader.process(process) for process in last}
        return {process: closed for process, closed in last.items() if (view := views[process]) and not view.open}


@final
class _Report:
    def __init__(self, outcomes: Iterable[BatchOutcome]) -> None:
        found = list(outcomes)
        self.position = found[-1].position if found else 0
        self.refused = [_refusal(refusal) for outcome in found for refusal in outcome.refused]
        self.results = {at: entry for outcome in found for at, entry in outcome.results.items()}
        self.closed = [closed for outcome in found for closed in outcome.closed]
        self.has_defect = any(because == RefusedBecause.USER and error is None for _, because, _, error in self.refused)


async def _one_by_one(reader: Reader) -> dict[tuple[int, int], list[tuple[int, Any]]]:
    found: dict[tuple[int, int], list[tuple[int, Any]]] = {}
    for bundle in await reader.receipts(limit=10_000):
        of_shard = found.setdefault((bundle.epoch, bundle.shard), [])
        of_shard += enumerate(bundle.receipts, bundle.seq)
    return found


async def _answer(question: Awaitable[Any]) -> Any:
    try:
        return await question
    except Refused as refused:
        return _refusal(refused.refusal)
    except (StoreUnavailable, AssertionError) as error:
        return type(error)


def _refusal(refusal: Any) -> tuple[int, str, int | None, str | None]:
    # A row that cannot be written is refused with the store's own error, a transaction with the user's.
    error = repr(refusal.error) if refusal.commit.transaction is not None and refusal.error is not None else None
    return refusal.commit.position, refusal.because, refusal.existing, error


def _same(what: str, memory: Any, sqlite: Any) -> None:
    if memory != sqlite:
        raise Differs(f"{what}\n  memory: {memory}\n  sqlite: {sqlite}")

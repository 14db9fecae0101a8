"""What the store contract's tests are written with: a store under trial, and how to play a test on a loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, final

from onstage.ports.store import Refused, Store
from onstage.testing.commit_script import DECLARATION, CommitScript

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onstage.core.commit import Commit, Refusal
    from onstage.core.journal import Entry
    from onstage.ports.store import BatchOutcome, Closed, Declaration, Opened

__all__ = ["CrashableStore", "NotAsked", "StoreMaker", "Trial", "played"]

M = TypeVar("M", bound="StoreMaker")


class CrashableStore(Store, Protocol):
    """A store that can be let go of as a killed process would."""

    def abandon(self) -> None:
        """Write nothing more; forget what is not durable."""
        ...


class NotAsked(Exception):
    """Ends a test that asks for more than the store says it can do."""


class StoreMaker:
    """What a subclass of the contract provides. All three run on the loop of one test."""

    def make_store(self) -> CrashableStore:
        """Make a new, empty store, not yet opened."""
        raise NotImplementedError

    def reopen(self, store: CrashableStore) -> CrashableStore:
        """Make the store that a new process would make on the data of `store`, which was closed or abandoned.

        A store whose features say that it survives no restart may leave this out, and is asked nothing about it.
        """
        raise NotImplementedError

    async def tidy_up(self) -> None:
        """Close what `make_store` needed, such as workers; the stores are closed already."""


@final
class Trial:
    """A store under trial, the script of commits for it, and what it reported."""

    def __init__(self, maker: StoreMaker) -> None:
        """Make the store; `open` opens it."""
        self._maker = maker
        self.store = maker.make_store()
        self.opened: Opened
        self.script: CommitScript
        self.outcomes: list[BatchOutcome] = []

    async def open(self, declaration: Declaration = DECLARATION) -> Opened:
        """Open the store and begin a script behind its high-water marks."""
        self.store.on_batch = self.outcomes.append
        self.opened = await self.store.open(declaration)
        self.script = CommitScript(self.opened)
        return self.opened

    async def restart(self, declaration: Declaration = DECLARATION) -> Opened:
        """Close the store and open it as the next process would."""
        self._ask_for_reopening()
        await self.store.close()
        self.store = self._maker.reopen(self.store)
        return await self.open(declaration)

    async def begin_again(self, declaration: Declaration) -> Opened:
        """Open the store, which is empty, with another declaration."""
        await self.store.close()
        self.store = self._maker.reopen(self.store) if self._reopens else self._maker.make_store()
        return await self.open(declaration)

    async def crash(self) -> Opened:
        """Kill the store with what it has not written, and open it as the next process would."""
        self._ask_for_reopening()
        self.store.abandon()
        self.store = self._maker.reopen(self.store)
        return await self.open()

    @property
    def _reopens(self) -> bool:
        return type(self._maker).reopen is not StoreMaker.reopen

    def _ask_for_reopening(self) -> None:
        if not self._reopens and not self.store.features.survives_restart:
            raise NotAsked

    async def put(self, *commits: Commit) -> list[Entry | Refusal | None]:
        """Append the commits as one batch and wait for what becomes of each."""
        positions = [self.store.append(commit) for commit in commits]
        self.store.flush()
        return [await self.settled(position) for position in positions]

    async def settled(self, position: int) -> Entry | Refusal | None:
        """What became of a position: None, the entry of its transaction, or its refusal."""
        try:
            return await self.store.durable(position)
        except Refused as refused:
            return refused.refusal

    async def why(self, *commits: Commit) -> list[str | None]:
        """Like `put`; answers why each was refused, None if it was not."""
        return [getattr(answer, "because", None) for answer in await self.put(*commits)]

    def closed(self) -> list[Closed]:
        """All processes that were reported closed, in order."""
        return [closed for outcome in self.outcomes for closed in outcome.closed]

    async def digest_and_open(self, process: int) -> tuple[int, int]:
        """What the ledger has for a process."""
        view = await self.store.reader.process(process)
        assert view is not None
        return view.digest, view.open


def played(test: Callable[[M, Trial], Awaitable[None]]) -> Callable[[M], None]:
    """Make a plain test of an asynchronous one: it gets an open store, which is closed at the end."""

    def play(self: M) -> None:
        asyncio.run(_play(self, test))

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(play, name, getattr(test, name))
    return play


async def _play(maker: M, test: Callable[[M, Trial], Awaitable[Any]]) -> None:
    trial = Trial(maker)
    try:
        await trial.open()
        with suppress(NotAsked):
            await test(maker, trial)
    finally:
        await trial.store.close()
        await maker.tidy_up()

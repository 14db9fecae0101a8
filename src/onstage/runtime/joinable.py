"""Processes that events may still join: what an owner knows of the ends of its processes where parts are elsewhere.

Theory of operation. The owner's own rows do not tell: nothing open here says nothing about other stores. So a declared
process with a key is *joinable* from its root on, by a note in the very commit, until an observer has said that it has
ended; the owner asks again and again about those that have nothing open here. Without an observer they stay joinable,
and an event with their key joins the newest of them. A verdict is of a moment: an event that comes while it is on its
way may still join a process that has just ended, and then goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Commit, Note, Notes
from onstage.errors import BrokerUnavailable, OperationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from onstage.observe.verdict import Verdict
    from onstage.runtime.node import Node

__all__ = ["JOINABLE", "Joinable"]

JOINABLE: Final = "joinable"
PAGE: Final = 1_000
ASKED_MAX: Final = 1_000
"""About so many processes an observer is asked at each look, at most."""

log = logging.getLogger("onstage.exchange")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[str, str]).decode


@final
class Joinable:
    """The processes of one node that may be joined."""

    def __init__(self, node: Node, verdict: Callable[[str, float], Awaitable[Verdict]]) -> None:
        """`verdict` asks an observer, at most so many seconds."""
        self._node = node
        self._verdict = verdict
        self._known: dict[int, None] = {}

    async def load(self) -> None:
        """Learn from the store which processes may be joined, and tell the doors."""
        after = -1
        while page := await self._node.store.reader.notes(JOINABLE, after=after, limit=PAGE):
            for note in page:
                self._node.admission.began(note.number, *_DECODE(note.body))
                self._known[note.number] = None
            after = page[-1].number

    def begins(self, commit: Commit) -> None:
        """A commit that is about to be appended has roots: note those that may be joined."""
        roots = [root for root in commit.roots if root.declared is not None and root.key is not None]
        if not roots:
            return
        kept = [Note(JOINABLE, root.process, _ENCODE((root.declared, root.key))) for root in roots]
        commit.notes = Notes(kept) if commit.notes is None else Notes([*commit.notes.kept, *kept], commit.notes.dropped)
        self._known.update(dict.fromkeys(root.process for root in roots))

    def refused(self, commit: Commit) -> None:
        """The store has refused a commit: what it began is not."""
        for root in commit.roots:
            self._known.pop(root.process, None)

    async def look(self) -> None:
        """Ask about the oldest of those that have nothing open here. Those that have ended are joined no more."""
        processes = tuple(self._known)[:ASKED_MAX]
        for process in processes:
            self._known[process] = self._known.pop(process)  # the others have their turn next time
        await asyncio.gather(*(self._look_at(process) for process in processes))

    async def _look_at(self, process: int) -> None:
        node, reader = self._node, self._node.store.reader
        row = await reader.process(process)
        if row is None or row.open:
            return
        try:
            verdict = await self._verdict(row.wire_id, 0.0)
        except (BrokerUnavailable, OperationError, LookupError) as error:
            log.debug("nobody says whether process %s has ended: %s", row.wire_id, error)
            return
        if not verdict.is_final:
            return
        await node.settle_window()
        if await reader.process(process) != row or process not in self._known:
            return  # something has joined it meanwhile
        node.admission.closed(process)
        del self._known[process]
        node.append_notes(Notes((), [(JOINABLE, process, process)]))

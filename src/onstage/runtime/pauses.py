"""Pauses: which handlers and services begin nothing, since when, and who said so. One note in the store holds them all.

A pause is durable when `pause` returns, and survives a restart. What runs goes on to its end or to its next park; what
is new, due or woken queues behind the turnstile of its handler. A paused handler is nothing to be mended: its processes
wait, and go on with `resume`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Note, Notes
from onstage.errors import UsageError
from onstage.observe.verdict import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onstage.ports.store import Reader
    from onstage.runtime.node import Node

__all__ = ["PAUSED", "Pauses", "pause_of", "pauses_in"]

PAUSED: Final = "paused"
"""The topic of the note."""

_DECODE: Final = msgspec.msgpack.Decoder(dict[str, Pause]).decode


@final
class Pauses:
    """The pauses of one node. `changed` is told after every change, with the names of handlers that are paused now."""

    def __init__(self, node: Node, changed: Callable[[frozenset[str]], None]) -> None:
        """No pause is known before `load`."""
        self._node = node
        self._changed = changed
        self._paused: dict[str, Pause] = {}
        self._written = 0

    def __contains__(self, handler: str) -> bool:
        """Whether this handler, or its service, is paused."""
        return pause_of(handler, self._paused) is not None

    async def load(self) -> None:
        """Take over what the store says, before anything runs."""
        self._paused = dict(await pauses_in(self._node.store.reader))
        if self._paused:
            self._tell()

    async def pause(self, name: str, *, by: str, why: str | None = None) -> str:
        """Pause a handler ("payment.charge") or a service ("payment"); durable when this returns.

        Answers what was done. Pausing what is paused changes nothing. Raises UsageError for a name that this node
        does not run.
        """
        self._check(name)
        earlier = self._paused.get(name)
        if earlier is not None:
            await self._node.store.durable(self._written)  # or a crash could still undo it
            return f"{name} is paused already, since {earlier}"
        await self._change({**self._paused, name: Pause(self._node.clock.now_ms(), by, why)})
        return f"{name} is paused"

    async def resume(self, name: str) -> str:
        """Let a paused handler or service go on; durable when this returns. Answers what was done.

        Raises UsageError for a name that is not paused, which says what is.
        """
        if name not in self._paused:
            paused = ", ".join(sorted(self._paused)) or "nothing"
            await self._node.store.durable(self._written)
            mend = "`onstage services` shows what is paused"
            raise UsageError(f"{name} is not paused\n  why: paused is: {paused}\n  to do: {mend}")
        await self._change({each: pause for each, pause in self._paused.items() if each != name})
        return f"{name} goes on"

    def _check(self, name: str) -> None:
        handlers = {handler.full_name for service in self._node.services for handler in service.handlers}
        handlers = {handler for handler in handlers if handler.partition(".")[0] in self._node.hosted}
        if name not in handlers | self._node.hosted:
            known = ", ".join(sorted(handlers | self._node.hosted))
            raise UsageError(f"there is no handler or service {name} here\n  why: there are {known}\n  to do: name one")

    async def _change(self, paused: dict[str, Pause]) -> None:
        before, self._paused = self._paused, paused
        node = self._node
        body = msgspec.msgpack.encode(paused)
        position = self._written = node.append_notes(Notes([Note(PAUSED, 0, body)]))
        if paused.keys() > before.keys():
            self._tell()  # a pause holds at once
        try:
            await node.store.durable(position)
        except BaseException:
            if self._paused is paused:
                self._paused, self._written = before, 0
                self._tell()
            raise
        self._tell()

    def _tell(self) -> None:
        self._changed(frozenset(self._paused))


async def pauses_in(reader: Reader) -> Mapping[str, Pause]:
    """The pauses that a store holds, by the name of the handler or service."""
    notes = await reader.notes(PAUSED, limit=1)
    return _DECODE(notes[0].body) if notes else {}


def pause_of(handler: str, paused: Mapping[str, Pause]) -> Pause | None:
    """The pause that holds this handler, its own or its service's."""
    return paused.get(handler) or paused.get(handler.partition(".")[0])

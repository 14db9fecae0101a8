"""Topologies: who handles what, everywhere, as of one epoch. An epoch never changes once it is registered.

Theory of operation. Every event is stamped with the epoch that its emitter knew, and `Topology.obligations` says what
follows from that: which gating handlers owe it a receipt. Emitter, receiver and observer work it out from the same
value, so their tokens agree, however many handlers have come and gone since.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest, TypeManifest
from onstage.events.delayed import LATER
from onstage.events.topic import Topic
from onstage.events.undoing_told import UNDO, UNDOING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["Place", "Topology", "decode_topology", "encode_topology", "owner_of"]


_OWN: Final = {LATER: ((LATER, True),), UNDO: ((UNDO, True),), UNDOING: ()}
"""Whoever keeps a delayed event owes it, and whoever is to undo something, at whatever node: no service declares it."""


@final
class Place(msgspec.Struct, frozen=True, array_like=True):
    """A place in the broker's log: behind the message at `seq`, which has this public id; 0 is the beginning."""

    stream: str = ""
    seq: int = 0
    id: str = ""


@final
class Topology(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All handlers, processes and event types of a namespace, as of one epoch.

    `joined` gives for each service the place in the broker's log behind which it hears what it subscribes to.
    """

    epoch: int = 0
    handlers: tuple[HandlerManifest, ...] = ()
    processes: tuple[ProcessManifest, ...] = ()
    types: tuple[TypeManifest, ...] = ()
    joined: dict[str, Place] = {}

    def obligations(self, type_name: str) -> frozenset[str]:
        """What an event of this type owes: the names of its gating handlers, and `name/wait` where one may wait."""
        known = self._obligations.get(type_name)
        if known is None:
            triggered = {name for name, gating in self.subscribers(type_name) if gating}
            waiting = {f"{each.name}/wait" for each in self.handlers if type_name in each.waits}
            known = self._obligations[type_name] = frozenset(triggered | waiting)
        return known

    def subscribers(self, type_name: str) -> tuple[tuple[str, bool], ...]:
        """The handlers that an event of this type starts, as (name, whether it is gating), in order of their names."""
        known = self._subscribers.get(type_name)
        if type_name in _OWN:
            return _OWN[type_name]
        if known is None:
            found = ((each.name, each.gating) for each in self.handlers if _hears(each, type_name))
            known = self._subscribers[type_name] = tuple(sorted(found))
        return known

    def process_started_by(self, type_name: str) -> ProcessManifest | None:
        """The declared process that such an event begins, if it is a root."""
        return next((process for process in self.processes if type_name in process.starts), None)

    def with_services(self, manifest: AppManifest, own: Collection[str], *, at: Place, epoch: int = 0) -> Topology:
        """The topology after a node with this manifest has come, which runs the services `own`; `at` is the log's end.

        A new one has the epoch that is given, or the next one if that is later.

        What it says of its own services, and of the processes they own, replaces what was known of them; what it says
        of anything else counts only where nothing was known: so nodes of two versions do not undo what each other
        says. The same value, with the same epoch, if nothing is new.
        """
        present = self.joined.keys()
        speaks_of = {each.service for each in manifest.handlers}
        taken = set(own) | (speaks_of - present)
        kept = tuple(each for each in self.handlers if each.service not in own)
        handlers = (*kept, *(each for each in manifest.handlers if each.service in taken))
        joined = {**dict.fromkeys(sorted(speaks_of | set(own)), at), **self.joined}
        changed = msgspec.structs.replace(
            self,
            handlers=tuple(sorted(handlers, key=_name)),
            processes=_processes(self.processes, manifest, own),
            types=_types(self.types, manifest.types),
            joined=joined,
        )
        return self if changed == self else msgspec.structs.replace(changed, epoch=max(self.epoch + 1, epoch))

    def answered_twice(self) -> tuple[str, str, str] | None:
        """A request that two handlers answer, and their names; None if there is none."""
        first: dict[str, str] = {}
        for each in self.handlers:
            if each.answers is not None and first.setdefault(each.answers, each.name) != each.name:
                return each.answers, first[each.answers], each.name
        return None

    @cached_property
    def undoing(self) -> frozenset[str]:
        """The event types of which some process says that they have it undone, if any handler can be undone."""
        can = any(step.undo for each in self.handlers for step in each.steps)
        return frozenset(name for process in self.processes if can and process.undo for name in process.failed)

    @cached_property
    def services(self) -> dict[str, str]:
        """The service of each handler, by its name."""
        return {each.name: each.service for each in self.handlers}

    @cached_property
    def handler_names(self) -> frozenset[str]:
        """The names of all handlers."""
        return frozenset(each.name for each in self.handlers)

    @cached_property
    def _obligations(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def _subscribers(self) -> dict[str, tuple[tuple[str, bool], ...]]:
        return {}


def owner_of(process: ProcessManifest, handlers: Iterable[HandlerManifest]) -> str | None:
    """The service that decides about a process: the declared one, else the first gating subscriber of its start."""
    if process.owner is not None:
        return process.owner
    started = (each.service for each in handlers if each.gating and any(_hears(each, name) for name in process.starts))
    return min(started, default=None)


_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode
_DECODE: Final = msgspec.json.Decoder(Topology).decode


def encode_topology(topology: Topology) -> bytes:
    """The topology as it is registered: JSON, the same bytes for the same value."""
    return _ENCODE(topology)


def decode_topology(data: bytes) -> Topology | None:
    """The topology in a registered value, None if it is none."""
    try:
        return _DECODE(data)
    except (ValueError, RecursionError):
        return None


def _hears(handler: HandlerManifest, type_name: str) -> bool:
    if handler.pattern:
        return any(Topic(pattern).matches(type_name) for pattern in handler.triggers)
    return type_name in handler.triggers


def _name(handler: HandlerManifest) -> str:
    return handler.name


def _processes(
    known: tuple[ProcessManifest, ...], said: AppManifest, own: Collection[str]
) -> tuple[ProcessManifest, ...]:
    found = {each.name: each for each in known}
    for each in said.processes:
        if each.name not in found or owner_of(each, said.handlers) in own:
            found[each.name] = each
    return tuple(found[name] for name in sorted(found))


def _types(known: tuple[TypeManifest, ...], said: tuple[TypeManifest, ...]) -> tuple[TypeManifest, ...]:
    # A topology travels, and what is registered has to fit into one message: the shapes stay at home.
    bare = (msgspec.structs.replace(each, shape="") for each in said)
    found = {(each.name, each.version): each for each in (*bare, *known)}
    return tuple(found[key] for key in sorted(found))

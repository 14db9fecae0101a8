"""The registry: which topology is in force, kept in the broker and remembered in the store.

`topology.<epoch>` is created once, and `topology`, set by compare-and-set, names the one in force. An epoch is a
reading of the clock, not a count: after the registry was lost a newcomer must not give a number to another topology
that events are stamped with already. A node keeps every topology it has seen as a note; so it starts and runs without
the registry, and puts back what that lost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from onstage.contracts.topology import Place, Topology, decode_topology, encode_topology
from onstage.core.commit import Note
from onstage.errors import UsageError
from onstage.runtime.marks import public_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from onstage.contracts.manifest import AppManifest
    from onstage.ports.broker import Broker
    from onstage.ports.store import Reader

__all__ = ["TOPOLOGY", "Registry"]

TOPOLOGY: Final = "topology"
KEPT_MAX: Final = 10_000
EPOCHS_BEGAN_MS: Final = 1_767_225_600_000
"""Epochs are seconds since the first moment of 2026, UTC: an integer of CloudEvents has 31 bits."""
_POINTER: Final = "topology"
log = logging.getLogger("onstage.exchange")


def _key(epoch: int) -> str:
    return f"topology.{epoch}"


@final
class Registry:
    """The topologies that one store knows, and the way to the others."""

    def __init__(self, broker: Broker, reader: Callable[[], Reader], now_ms: Callable[[], int]) -> None:
        """Nothing known yet; `load` reads what the store remembers. `now_ms` is the clock that epochs are read from.

        `known` are all topologies that are known here, the oldest first.
        """
        self._broker = broker
        self._reader = reader
        self._now_ms = now_ms
        self._known: dict[int, Topology] = {}
        self.known: tuple[Topology, ...] = ()
        self._born: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._tried = 0
        self._stores: dict[str, str] = {}
        self._revision = -1
        self._turn = 0
        self.current = Topology()

    async def load(self) -> None:
        """Learn what the store remembers."""
        for note in await self._reader().notes(TOPOLOGY, limit=KEPT_MAX):
            self._learn(decode_topology(note.body))

    def _learn(self, topology: Topology | None) -> Topology | None:
        if topology is not None:
            self._known[topology.epoch] = topology
            self.known = tuple(self._known[epoch] for epoch in sorted(self._known))
            self._born.clear()
            self._first.clear()
            if topology.epoch > self.current.epoch:
                self.current = topology
        return topology

    async def at(self, epoch: int) -> Topology | None:
        """The topology of an epoch, None if nobody has it. Raises BrokerUnavailable if it is not known here."""
        if epoch in self._known:
            return self._known[epoch]
        value = await self._broker.get(_key(epoch))
        return None if value is None else self._learn(decode_topology(value.data))

    def kept(self, epoch: int) -> Topology | None:
        """The topology of an epoch that this store has seen: those of all its own events and obligations."""
        return self._known.get(epoch)

    async def register(self, manifest: AppManifest, own: Collection[str]) -> Topology:
        """Make this node's services part of the topology; answers the one in force.

        Raises BrokerUnavailable, and UsageError if another service answers a request that one of these does.
        """
        while True:
            revision = await self._refresh()
            present = self.current
            epoch = max((self._now_ms() - EPOCHS_BEGAN_MS) // 1000, self._tried + 1)
            wanted = present.with_services(manifest, own, at=await self._end(), epoch=epoch)
            if wanted is present:
                return present
            _refuse_two_answers(wanted)
            self._tried = wanted.epoch
            if await self._broker.put(_key(wanted.epoch), encode_topology(wanted), revision=0) is None:
                continue
            # Only what is pointed at is in force: if somebody else was quicker, try on top of theirs.
            if await self._broker.put(_POINTER, str(wanted.epoch).encode(), revision=revision) is not None:
                self._learn(wanted)

    def born(self, handler: str) -> int:
        """The first epoch that names a handler, 0 if none that is known does. What is stamped earlier is not for it."""
        known = self._born.get(handler)
        if known is None:
            named = (each.epoch for each in self.known if any(handler == one.name for one in each.handlers))
            known = self._born[handler] = next(named, 0)
        return known

    def first(self, service: str) -> int:
        """The first epoch in which a service has joined, 0 if none is known."""
        known = self._first.get(service)
        if known is None:
            joined = (each.epoch for each in self.known if service in each.joined)
            known = self._first[service] = next(joined, 0)
        return known

    async def claim(self, service: str, store: str) -> None:
        """Make it known that a service runs on this store, and on no other.

        Raises UsageError if it has another one, BrokerUnavailable.
        """
        key = f"service.{service}"
        while True:
            value = await self._broker.get(key)
            if value is not None and value.data != store.encode():
                raise UsageError(
                    f"service {service} has another store: {value.data.decode(errors='replace')}, and this is {store}\n"
                    "  why: on two stores each of its events would be handled twice\n"
                    f"  to do: run it on that store; if that is gone for good, delete {key} in the broker's registry"
                )
            if value is not None or await self._broker.put(key, store.encode(), revision=0) is not None:
                return

    async def service_on(self, store: str) -> str | None:
        """A service that runs on this store, None if none is known to. Raises BrokerUnavailable."""
        known = self._stores.get(store)
        for service in sorted(self.current.joined) if known is None else ():
            value = await self._broker.get(f"service.{service}")
            if value is not None:
                self._stores.setdefault(value.data.decode(errors="replace"), service)
        return self._stores.get(store)

    def joined(self, service: str) -> Place:
        """Behind which message a service hears what it subscribes to; the beginning if that is not known.

        The oldest topology that says so counts: a later one may have been made anew after the registry was lost.
        """
        found = (topology.joined[service] for topology in self.known if service in topology.joined)
        return next(found, Place())

    async def _end(self) -> Place:
        if not self.current.epoch:
            return Place()  # the first of all, or the registry was lost: then events may be there that oblige somebody
        state = await self._broker.state()
        last = await self._broker.message(state.last)
        return Place(state.identity, state.last, "" if last is None else public_id(last))

    async def refresh(self) -> Topology:
        """The newest topology, of the registry and of what is known here. Raises BrokerUnavailable."""
        await self._refresh()
        return self.current

    async def _refresh(self) -> int:
        """Learn what is in force, or put it back; answers the revision of what points at it."""
        while True:
            pointer = await self._broker.get(_POINTER)
            newest, revision = (0, 0) if pointer is None else (_number(pointer.data), pointer.revision)
            await self._put_back(revision)
            if newest == self.current.epoch:
                return revision
            if newest > self.current.epoch:
                if await self.at(newest) is None:
                    log.warning("topology %s is in force, and not in the registry", newest)
                return revision
            epoch = str(self.current.epoch).encode()
            put = await self._broker.put(_POINTER, epoch, revision=revision)
            if put is not None:
                return put

    async def _put_back(self, revision: int) -> None:
        """Look whether the registry has what is known here, and put it there if not.

        If somebody has written meanwhile, all is looked at, else one topology each time: others may have put back
        what they know, and know less.
        """
        looked_at = sorted(self._known)
        if revision == self._revision:
            self._turn += 1
            looked_at = looked_at[self._turn % max(1, len(looked_at)) :][:1]
        for epoch in looked_at:
            if await self._broker.get(_key(epoch)) is None:
                await self._broker.put(_key(epoch), encode_topology(self._known[epoch]), revision=0)
        self._revision = revision

    def notes(self, known_before: Collection[int]) -> list[Note]:
        """The topologies learnt since, as notes for the store."""
        return [
            Note(TOPOLOGY, topology.epoch, encode_topology(topology))
            for topology in self.known
            if topology.epoch not in known_before
        ]

    @property
    def epochs(self) -> frozenset[int]:
        """The epochs that are known here."""
        return frozenset(self._known)


def _refuse_two_answers(wanted: Topology) -> None:
    twice = wanted.answered_twice()
    if twice is None:
        return
    request, first, second = twice
    raise UsageError(
        f"handlers {first} and {second} both answer {request}\n"
        "  why: they are declared by services that run apart, and a request has one answer\n"
        "  to do: let one of them answer; start its service without the other one's handler first"
    )


def _number(data: bytes) -> int:
    return int(data) if data.isdigit() else 0

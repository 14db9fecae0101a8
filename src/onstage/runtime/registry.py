"""The registry: which topology is in force, kept in the broker and remembered in the store.

Epochs are made by compare-and-set: `topology.<epoch>` can be created once, and `topology` names the newest. A node
keeps every topology it has seen as a note; so it starts and runs without the registry, and puts back what that lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from onstage.contracts.topology import Topology, decode_topology, encode_topology
from onstage.core.commit import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from onstage.contracts.manifest import AppManifest
    from onstage.ports.broker import Broker
    from onstage.ports.store import Reader

__all__ = ["TOPOLOGY", "Registry"]

TOPOLOGY: Final = "topology"
KEPT_MAX: Final = 10_000
_POINTER: Final = "topology"


def _key(epoch: int) -> str:
    return f"topology.{epoch}"


@final
class Registry:
    """The topologies that one store knows, and the way to the others."""

    def __init__(self, broker: Broker, reader: Callable[[], Reader]) -> None:
        """Nothing known yet; `load` reads what the store remembers."""
        self._broker = broker
        self._reader = reader
        self._known: dict[int, Topology] = {}
        self.current = Topology()

    async def load(self) -> None:
        """Learn what the store remembers."""
        for note in await self._reader().notes(TOPOLOGY, limit=KEPT_MAX):
            self._learn(decode_topology(note.body))

    def _learn(self, topology: Topology | None) -> Topology | None:
        if topology is not None:
            self._known[topology.epoch] = topology
            if topology.epoch > self.current.epoch:
                self.current = topology
        return topology

    async def at(self, epoch: int) -> Topology | None:
        """The topology of an epoch, None if nobody has it. Raises BrokerUnavailable if it is not known here."""
        if epoch in self._known:
            return self._known[epoch]
        value = await self._broker.get(_key(epoch))
        return None if value is None else self._learn(decode_topology(value.data))

    async def register(self, manifest: AppManifest, own: Collection[str]) -> Topology:
        """Make this node's services part of the topology; answers the one in force. Raises BrokerUnavailable."""
        while True:
            present = await self.refresh()
            end = (await self._broker.state()).last
            wanted = present.with_services(manifest, own, at=end)
            if wanted is present:
                return present
            created = await self._broker.put(_key(wanted.epoch), encode_topology(wanted), revision=0)
            if created is not None:
                self._learn(wanted)
            # Otherwise somebody else made this epoch; look at it, and try on top of it.
            await self._point_at(wanted.epoch)

    async def refresh(self) -> Topology:
        """The newest topology, of the registry and of what is known here. Raises BrokerUnavailable."""
        pointer = await self._broker.get(_POINTER)
        newest = int(pointer.data) if pointer is not None else 0
        if newest < self.current.epoch:
            await self._put_back(newest)
        elif newest > self.current.epoch:
            await self.at(newest)
        while await self._broker.get(_key(self.current.epoch + 1)) is not None:  # made, and not yet pointed at
            await self.at(self.current.epoch + 1)
        return self.current

    async def _put_back(self, newest: int) -> None:
        for epoch in sorted(self._known):
            if epoch > newest:
                await self._broker.put(_key(epoch), encode_topology(self._known[epoch]), revision=0)
        await self._point_at(self.current.epoch)

    async def _point_at(self, epoch: int) -> None:
        pointer = await self._broker.get(_POINTER)
        if pointer is None or int(pointer.data) < epoch:
            revision = 0 if pointer is None else pointer.revision
            await self._broker.put(_POINTER, str(epoch).encode(), revision=revision)

    def notes(self, known_before: Collection[int]) -> list[Note]:
        """The topologies learnt since, as notes for the store."""
        return [
            Note(TOPOLOGY, epoch, encode_topology(topology))
            for epoch, topology in sorted(self._known.items())
            if epoch not in known_before
        ]

    @property
    def epochs(self) -> frozenset[int]:
        """The epochs that are known here."""
        return frozenset(self._known)

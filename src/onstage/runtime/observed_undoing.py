"""What an observer learns of the undoing of processes: the rows that say how each stands, from the events that tell it.

Theory of operation. The owner of a process decides, and tells it by an event of the process. An outcome in `failed=`
may be folded before that: until the owner has said what it makes of it the process is *undecided*, which is no end.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from onstage.core.commit import WaveRow
from onstage.core.undoing import UNDECIDED, Undoing, encode_undoing
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import hlc_ms
from onstage.events.undoing_told import UNDOING, decode_told
from onstage.runtime.wire import arrived, follows

if TYPE_CHECKING:
    from onstage.contracts.topology import Topology
    from onstage.events.envelope import Envelope
    from onstage.ports.store import Store

__all__ = ["ObservedUndoing"]

DECLARED_KEPT_MAX: Final = 200_000
"""Of so many processes it is remembered how they are declared; of others it is looked up."""
log = logging.getLogger("onstage.observer")


@final
class ObservedUndoing:
    """Works out rows for one observer's store."""

    def __init__(self, store: Store) -> None:
        """For this store."""
        self._store = store
        self._declared: dict[int, str | None] = {}
        self._versions: dict[int, int] = {}

    def began(self, process: int, declared: str | None) -> None:
        """A process has its root in a commit that is about to be appended."""
        while len(self._declared) >= DECLARED_KEPT_MAX:
            del self._declared[next(iter(self._declared))]
        self._declared[process] = declared

    async def rows(self, envelope: Envelope, wire: str, process: int, topology: Topology) -> tuple[WaveRow, ...]:
        """What an event says of the undoing of its process; the commit of the event has to hold it."""
        if envelope.type == UNDOING:
            try:
                told = decode_told(envelope.data)
            except DecodeFailed as error:
                log.warning("event %s tells nothing: %s", wire, error)
                return ()
            hand = (told.resolved, told.resolved_by, told.note)
            said = Undoing(told.reason, told.since, 0, told.ended, told.residue, *hand)
            return (await self._row(process, told.state, said),)
        if wire not in follows(arrived(envelope, wire)) or await self._version(process):
            return ()
        declared = await self._declared_as(process)
        mine = next((each for each in topology.processes if each.name == declared), None)
        if mine is None or not mine.undo or envelope.type not in mine.failed:
            return ()
        return (await self._row(process, UNDECIDED, Undoing(envelope.type, hlc_ms(envelope.hlc or 0))),)

    async def _row(self, process: int, state: str, said: Undoing) -> WaveRow:
        version = self._versions[process] = await self._version(process) + 1
        return WaveRow(process, version, state, encode_undoing(said))

    async def _version(self, process: int) -> int:
        known = self._versions.get(process)
        if known is None:
            rows = await self._store.reader.waves([process])
            known = rows[0].version if rows else 0
        return known

    async def _declared_as(self, process: int) -> str | None:
        if process not in self._declared:
            view = await self._store.reader.process(process)
            self.began(process, None if view is None else view.declared)
        return self._declared[process]

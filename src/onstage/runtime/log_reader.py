"""Reading on in the broker's log, from a place that the store remembers, for ever.

One reader has a name, subjects, and a place: the mark of the last message whose consequences are durable. Whoever takes
the messages commits the place along with them. The broker's cursor only gets one from there: if it is lost, another is
made behind the stored place, so the order never depends on what the broker delivers again and when.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, final

from onstage.core.commit import Note, Notes
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.ports.broker import CursorLost
from onstage.ports.store import Refused
from onstage.runtime.marks import (
    MARKS_KEPT,
    KeptMarks,
    Mark,
    decode_mark,
    encode_mark,
    newest_standing,
    public_id,
    stands,
)
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.contracts.topology import Place
    from onstage.ports.broker import Broker, Logged
    from onstage.ports.clock import Clock
    from onstage.ports.store import Reader

__all__ = ["LogReader", "Taker"]

PAUSE_S: Final = 0.1
PAUSE_S_MAX: Final = 5.0
_NUMBER_MAX: Final = (1 << 63) - 1
log = logging.getLogger("onstage.intake")


class Taker(Protocol):
    """Takes what a reader reads."""

    async def __call__(self, messages: Sequence[Logged], place: Notes, /) -> bool:
        """Make these messages durable, and the place with them; answer whether the place was kept."""
        ...


@final
class LogReader:
    """Reads some subjects and gives what it reads to `take`, which makes it durable together with the place.

    If `take` has not kept the place, a reader that begins anew reads the same again.
    """

    def __init__(
        self,
        name: str,
        subjects: Sequence[str],
        *,
        broker: Broker,
        reader: Callable[[], Reader],
        clock: Clock,
        take: Taker,
        begin: Callable[[], Place],
    ) -> None:
        """`begin` says behind which message a reader without a place begins."""
        self._name = name
        self._subjects = tuple(subjects)
        self._broker = broker
        self._reader = reader
        self._clock = clock
        self._take = take
        self._begin = begin
        self._stream = ""
        self._task: asyncio.Task[None] | None = None
        self._forget: tuple[tuple[str, int, int], ...] = ()
        self._marks = KeptMarks()
        self._has_read = False
        self.begun = 0
        self.taken = 0
        self.moved_s = 0.0

    def start(self) -> None:
        """Read from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Read no more; what was taken and is not durable is read again next time."""
        await end_tasks(self._task)

    @property
    def topic(self) -> str:
        """Under which topic the store keeps the places."""
        return f"place {self._name}"

    async def _run(self) -> None:
        pause = PAUSE_S
        while True:
            try:
                await self._read()
            except CursorLost as error:
                log.debug("%s reads anew: %s", self._name, error)
                if not self._has_read:
                    await asyncio.sleep(PAUSE_S)  # whatever takes it away at once may do so again
            except (BrokerUnavailable, StoreUnavailable, Refused) as error:
                log.debug("%s waits %.1f s: %s", self._name, pause, error)
                await asyncio.sleep(pause * (0.5 + self._clock.chance() / 2))
                pause = min(2 * pause, PAUSE_S_MAX)
                continue
            except Exception:
                log.exception("%s failed; it reads anew", self._name)
                await asyncio.sleep(PAUSE_S_MAX)
            pause = PAUSE_S

    async def _read(self) -> None:
        place = await self._place()
        cursor = await self._broker.cursor(self._name, self._subjects, after=place.seq)
        self.begun += 1
        self._moved(place.seq)
        self._has_read = False
        try:
            # The log may have lost its end before the cursor was there; from now on the cursor would be lost with it.
            if not await stands(self._broker, await self._broker.state(), place):
                raise CursorLost("the log has changed under it")
            while True:
                messages = await cursor.next()
                self._has_read = True
                is_kept = await self._take(messages, self._notes(messages[-1]))
                self._moved(messages[-1].seq)
                if is_kept:
                    self._keep(messages[-1].seq)
                    await cursor.ack(messages[-1].seq)
        finally:
            await cursor.close()

    async def _place(self) -> Mark:
        notes = await self._reader().notes(self.topic, newest_first=True, limit=MARKS_KEPT)
        if not notes:
            begin = self._begin()
            notes = [Note(self.topic, begin.seq, encode_mark(Mark(begin.stream, begin.seq, begin.id)))]
        standing, state = await newest_standing(self._broker, notes)
        self._stream = state.identity
        place = Mark(state.identity, 0, "") if standing is None else decode_mark(standing)
        # What is behind a place that was lost says nothing of the messages that now have these numbers.
        self._marks = KeptMarks(note.number for note in reversed(notes) if standing and note.number <= place.seq)
        self._forget = ((self.topic, place.seq + 1, _NUMBER_MAX),)
        if standing != notes[0] and notes[0].number:
            log.warning("the broker lost its end; %s reads again from %s on", self._name, place.seq + 1)
        return place

    def _notes(self, last: Logged) -> Notes:
        kept = Note(self.topic, last.seq, encode_mark(Mark(self._stream, last.seq, public_id(last))))
        return Notes([kept], [*self._forget, *((self.topic, number, number) for number in self._marks.dropped())])

    def _moved(self, seq: int) -> None:
        """What was read up to `seq` is taken; `moved_s` is when, on the loop's clock."""
        self.taken, self.moved_s = seq, asyncio.get_running_loop().time()

    def _keep(self, seq: int) -> None:
        self._forget = ()
        self._marks.add(seq)

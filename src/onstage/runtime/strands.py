"""Strands: what one store publishes on one subject, counted without a gap, and what a reader lacks of them.

Theory of operation. A broker may lose one message and keep its neighbours, and say nothing. So a publisher numbers its
events per subject, and so do readers count. A reader that misses a number refuses what comes behind it, notes in its
store, with the very commit that moves its place on, that it *lacks* something, and asks the publisher's service again
and again until it has it. Asking is a message in the log as well; a publisher that is down finds it there.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.core.commit import Note
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.events.subject import control_subject
from onstage.ports.broker import Message
from onstage.runtime.marks import ID
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.ports.broker import Broker
    from onstage.ports.store import Reader

__all__ = ["ASK", "LACKS", "Ask", "Lack", "Strands", "decode_ask", "note_number", "store_in"]

ASK: Final = "onstage-ask"
"""The header of a request to send again; its body is an `Ask`."""
LACKS: Final = "lacks"
LACKS_MAX: Final = 10_000
LOOK_S: Final = 1.0
ASK_AGAIN_S: Final = 4.0
ASK_AGAIN_S_MAX: Final = 64.0

log = logging.getLogger("onstage.exchange")
_ENCODE_INT: Final = msgspec.msgpack.Encoder().encode
_DECODE_INT: Final = msgspec.msgpack.Decoder(int).decode


@final
class Ask(msgspec.Struct, frozen=True, array_like=True):
    """Send again what `store` has published: on `subject` behind number `behind`, or the `events` with these ids.

    Without a subject it is receipts that are meant, and `behind` is a position; without events and subject as well.
    """

    store: str
    subject: str = ""
    behind: int = 0
    events: tuple[str, ...] = ()


_ENCODE_ASK: Final = msgspec.msgpack.Encoder().encode
_DECODE_ASK: Final = msgspec.msgpack.Decoder(Ask).decode


def decode_ask(data: bytes) -> Ask | None:
    """What is asked for, None if that cannot be read."""
    try:
        return _DECODE_ASK(data)
    except (ValueError, RecursionError):
        return None


def store_in(wire: str) -> str:
    """The store in a public id."""
    return wire.split("-", 1)[0]


def note_number(name: str) -> int:
    """The number under which what has this name is noted: 56 bits of BLAKE2b."""
    return int.from_bytes(blake2b(name.encode(), digest_size=7).digest(), "big")


@final
class Lack(msgspec.Struct, array_like=True):
    """What is missing of a strand: all up to `wanted`, and the service to ask."""

    store: str
    subject: str
    service: str
    wanted: int

    @property
    def number(self) -> int:
        """Under which number it is noted."""
        return note_number(f"{self.store} {self.subject}")


_LACK: Final = msgspec.msgpack.Decoder(Lack).decode
_ENCODE_LACK: Final = msgspec.msgpack.Encoder().encode


@final
class Strands:
    """The counts of one reader's store, and the loop that asks for what it lacks."""

    def __init__(self, broker: Broker, reader: Callable[[], Reader]) -> None:
        """Nothing counted yet."""
        self._broker = broker
        self._reader = reader
        self._counts: dict[str, int] = {}
        self._lacks: dict[str, Lack] = {}
        self._asked: dict[str, tuple[float, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self.asked = 0

    async def load(self) -> None:
        """Learn from the store what is lacking."""
        for note in await self._reader().notes(LACKS, limit=LACKS_MAX):
            lack = _LACK(note.body)
            self._lacks[_topic(lack.store, lack.subject)] = lack

    def start(self) -> None:
        """Ask from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        await end_tasks(self._task)

    async def count(self, store: str, subject: str) -> int:
        """The number up to which nothing of this strand is missing; 0 if nothing of it was heard."""
        topic = _topic(store, subject)
        known = self._counts.get(topic)
        if known is None:
            notes = await self._reader().notes(topic, limit=1)
            known = self._counts[topic] = _DECODE_INT(notes[0].body) if notes else 0
        return known

    @property
    def lacks(self) -> tuple[Lack, ...]:
        """What is lacking now."""
        return tuple(self._lacks.values())

    def begin(self) -> Tally:
        """The counts of one batch, which are noted with it."""
        return Tally(self)

    # Asking.

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.ask()
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.debug("nobody can be asked for what is missing: %s", error)
            except Exception:
                log.exception("asking for what is missing failed; it is tried again")

    async def ask(self) -> None:
        """Ask for all that is lacking, each thing at growing intervals. Raises BrokerUnavailable."""
        now = asyncio.get_running_loop().time()
        for topic, lack in tuple(self._lacks.items()):
            last = await self.count(lack.store, lack.subject)
            due, pause = self._asked.get(topic, (now, ASK_AGAIN_S))
            if due > now:
                continue
            log.warning("what comes behind number %s of %s is missing; %s is asked", last, lack.subject, lack.service)
            await self.send(lack.service, Ask(lack.store, lack.subject, last))
            self._asked[topic] = (now + pause, min(2 * pause, ASK_AGAIN_S_MAX))

    async def send(self, service: str, ask: Ask) -> None:
        """Put a request into the log. Raises BrokerUnavailable."""
        subject = control_subject(self._broker.namespace, service)
        await self._broker.publish([Message(subject, _ENCODE_ASK(ask), {ASK: "1", ID: ""})])
        self.asked += 1

    def settle(self, tally: Tally) -> None:
        """What a batch has counted holds from now on."""
        self._counts |= tally.counts
        for topic, lack in tally.lacks.items():
            self._lacks[topic] = lack
        for topic in tally.found:
            self._lacks.pop(topic, None)
            self._asked.pop(topic, None)

    def forget(self, tally: Tally) -> None:
        """The store did not keep what a batch has counted: it is asked again."""
        for topic in tally.counts:
            self._counts.pop(topic, None)


@final
class Tally:
    """What one batch counts. `notes` and `dropped` go into the commit of its place."""

    def __init__(self, strands: Strands) -> None:
        """On top of what was counted before."""
        self._strands = strands
        self.counts: dict[str, int] = {}
        self.lacks: dict[str, Lack] = {}
        self.found: dict[str, Lack] = {}

    async def follows(self, store: str, subject: str, number: int, service: str, *, strict: bool) -> bool:
        """Whether nothing is missing before this number; it is counted then, and noted as lacking if not.

        Unless `strict`, the first number heard of a strand may be any: the reader came later than the writer.
        """
        topic = _topic(store, subject)
        last = self.counts.get(topic) or await self._strands.count(store, subject)
        lack = self.lacks.get(topic) or self._strands._lacks.get(topic)  # noqa: SLF001  its own part
        if number > last + 1 and (last or strict):
            wanted = max(number, lack.wanted if lack else 0)
            self.lacks[topic] = Lack(store, subject, service, wanted)
            self.found.pop(topic, None)
            return False
        if number > last:
            self.counts[topic] = number
        if lack is not None and number >= lack.wanted:
            self.found[topic] = lack
            self.lacks.pop(topic, None)
        return True

    @property
    def notes(self) -> list[Note]:
        """What is to be kept."""
        kept = [Note(topic, 0, _ENCODE_INT(count)) for topic, count in self.counts.items()]
        return kept + [Note(LACKS, lack.number, _ENCODE_LACK(lack)) for lack in self.lacks.values()]

    @property
    def dropped(self) -> list[tuple[str, int, int]]:
        """What need not be kept any longer."""
        return [(LACKS, lack.number, lack.number) for lack in self.found.values()]


def _topic(store: str, subject: str) -> str:
    return f"heard {store} {subject}"

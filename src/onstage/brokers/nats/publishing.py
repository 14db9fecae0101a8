"""Publishing: whole batches, of which no answer is believed that does not name the place of a message.

Theory of operation. Messages go out in atomic batches (ADR-50): all or none is stored, in one piece, and the answer to
the last one names the place of all. The members of a batch follow from the messages alone, so what is published again
after an unknown outcome is the same batch. If the server has it already, or a part of it because it was cut otherwise
then, it refuses the batch. Then the first message goes alone: stored now, or found to be there. If it was there, what
follows it in the log is compared with what follows it here; what is the same is done, and the rest begins with a batch
of half the size. So no order is lost, whatever the server has: nothing goes out before what precedes it is stored.

A server that says "duplicate" names a place. What stands there is read; another message, or none, means that the server
is wrong, and the message is stored with another id for the server; its own stands in a header that we read.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Final, final

from onstage.brokers.nats.framing import header_lines
from onstage.brokers.nats.link import unavailable
from onstage.brokers.nats.stream import MESSAGE_ID, PLAIN_ID, fetch, log_name, read_answer
from onstage.errors import UsageError
from onstage.events.subject import check_in_log
from onstage.ports.broker import NobodyAnswers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.brokers.nats.link import Link
    from onstage.brokers.nats.stream import Answer
    from onstage.ports.broker import Message

__all__ = ["ATOMIC_MESSAGES_MIN", "BATCH_BYTES_MAX", "BATCH_MESSAGES_MAX", "COMPARED_MAX", "Publisher"]

BATCH_MESSAGES_MAX: Final = 1_000
"""How many messages an atomic batch holds: as many as a server takes."""
ATOMIC_MESSAGES_MIN: Final = 8
"""Fewer messages go one after the other: a server makes files for each atomic batch, and one alone takes a tenth."""
BATCH_BYTES_MAX: Final = 4 << 20
"""How many bytes an atomic batch holds, unless it is a single message."""
COMPARED_MAX: Final = 100
"""How many messages of the log are read at once to be compared."""

_BATCH: Final = "Nats-Batch-Id"
_PLACE: Final = "Nats-Batch-Sequence"
_COMMIT: Final = "Nats-Batch-Commit"
_OVERHEAD_BYTES: Final = 256  # what the headers of a batch, and the first line, take at most


@final
class Publisher:
    """Appends to the log over a link."""

    def __init__(self, link: Link) -> None:
        """For the namespace of the link's address."""
        self._link = link
        self._namespace = link.address.namespace
        self._stream = log_name(self._namespace)

    async def publish(self, messages: Sequence[Message]) -> list[int]:
        """Store all, in order; answers their places. Raises UsageError and BrokerUnavailable as the port says."""
        sizes = [self._checked_size(message) for message in messages]
        seqs: list[int] = []
        most = BATCH_MESSAGES_MAX
        while rest := messages[len(seqs) :]:
            batch = rest[: _fitting(sizes[len(seqs) :][:most])]
            last = await self._store_whole(batch) if len(batch) >= ATOMIC_MESSAGES_MIN else None
            if last is not None:
                seqs.extend(range(last - len(batch) + 1, last + 1))
                most = min(2 * most, BATCH_MESSAGES_MAX)
                continue
            seq, was_there = await self._store(batch[0])
            seqs.append(seq)
            if was_there:
                seqs.extend(await self._found(rest[1:], seq + 1))
            is_refused = len(batch) >= ATOMIC_MESSAGES_MIN
            most = len(batch) // 2 if is_refused else min(2 * most, BATCH_MESSAGES_MAX)
        return seqs

    def _checked_size(self, message: Message) -> int:
        check_in_log(self._namespace, message.subject)
        size = _OVERHEAD_BYTES + len(message.data) + len(message.id or "") + len(header_lines(message.headers))
        if size > self._link.max_payload > 0:
            raise UsageError(
                f"a message of {size:,} bytes is too large for the broker\n"
                f"  why: its server takes at most {self._link.max_payload:,}, headers included\n"
                "  to do: set max_payload in the configuration of the server"
            )
        return size

    async def _store_whole(self, batch: Sequence[Message]) -> int | None:
        """Publish an atomic batch; answers the place of its last message, None if it is refused and nothing stored."""
        batch_id = _batch_id(batch)
        for place, message in enumerate(batch[:-1], 1):
            headers = _headers(message, message.id or "") | {_BATCH: batch_id, _PLACE: str(place)}
            await self._link.publish(message.subject, message.data, headers=headers)
        last = batch[-1]
        headers = _headers(last, last.id or "") | {_BATCH: batch_id, _PLACE: str(len(batch)), _COMMIT: "1"}
        answer = await self._ask(last, headers)
        if answer.error is not None:
            return None
        if answer.count != len(batch):
            raise unavailable("the broker stored another batch", f"{answer.count} messages of {len(batch)}")
        return answer.seq

    async def _store(self, message: Message) -> tuple[int, bool]:
        """Publish one message; answers its place, and whether it was there before."""
        known_as = message.id or ""
        while True:
            answer = await self._ask(message, _headers(message, known_as))
            if answer.error is not None:
                raise unavailable("the broker takes no message", answer.error.shown)
            if not answer.duplicate:
                return answer.seq, False
            there = await fetch(self._link, self._stream, {"seq": answer.seq})
            if there is not None and there.id == message.id:
                return answer.seq, True
            known_as = f"{message.id};not-{answer.seq}"  # the same in every attempt: this one is recognised, too

    async def _found(self, messages: Sequence[Message], seq: int) -> list[int]:
        """The places from `seq` on, as far as the log has these messages there, one behind the other."""
        found: list[int] = []
        while part := messages[len(found) :][:COMPARED_MAX]:
            places = range(seq + len(found), seq + len(found) + len(part))
            there = await asyncio.gather(*(fetch(self._link, self._stream, {"seq": place}) for place in places))
            pairs = zip(part, there, places, strict=True)
            same = takewhile(lambda pair: pair[1] is not None and pair[0].id == pair[1].id is not None, pairs)
            found.extend(place for _, _, place in same)
            if len(found) < places.stop - seq:
                break
        return found

    async def _ask(self, message: Message, headers: dict[str, str]) -> Answer:
        try:
            reply = await self._link.request(message.subject, message.data, headers=headers)
        except NobodyAnswers:
            self._link.cut("the stream is gone, or has no leader")  # what is made again with the connection is checked
            raise unavailable("the broker does not take messages", "the stream is gone, or has no leader") from None
        return read_answer(message.subject, reply.data)


def _fitting(sizes: Sequence[int]) -> int:
    """How many of the first messages make a batch."""
    return max(1, sum(total <= BATCH_BYTES_MAX for total in accumulate(sizes)))


def _batch_id(batch: Sequence[Message]) -> str:
    digest = blake2b(digest_size=24)
    for message in batch:
        part = message.id.encode() if message.id else message.subject.encode() + b"\0" + message.data
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _headers(message: Message, known_as: str) -> dict[str, str]:
    headers = dict(message.headers)
    if known_as:
        headers[MESSAGE_ID] = known_as
    if known_as != (message.id or ""):
        headers[PLAIN_ID] = message.id or ""
    return headers

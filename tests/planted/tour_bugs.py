"""Bugs planted between stores and their broker: relay, intake, places, gaps, observer, registry."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from onstage.brokers.embedded import EmbeddedLog
from onstage.core.commit import Commit, Notes
from onstage.events.wire_receipt import decode_wire
from onstage.runtime import intake, log_reader, observer, relay
from onstage.runtime.intake import Intake
from onstage.runtime.observer import Observer
from onstage.runtime.registry import Registry
from onstage.runtime.relay import Relay
from onstage.runtime.strands import Strands, Tally
from onstage.stores.batch import Batch

Patch = pytest.MonkeyPatch
WINDOW_S = 10


def duplicate_believed(patch: Patch) -> None:
    """The broker says "duplicate" of what it has lost, and is believed; what was lost goes out under its old ids."""

    def append(self: EmbeddedLog, message: Any, *, is_new: bool = False) -> int:
        known = self._known.get(message.id or "")
        if known and not is_new:
            return known
        return plain(self, message, is_new=is_new)

    async def send(self: Relay, messages: Any, *, anew: bool) -> list[int]:
        return await self._broker.publish(messages)

    plain = EmbeddedLog.append
    patch.setattr(EmbeddedLog, "append", append)
    patch.setattr(Relay, "_send", send)


def mark_before_acknowledgement(patch: Patch) -> None:
    """What is to be published counts as published before the broker has it."""
    plain = Relay._next

    async def next_parcel(self: Relay) -> Any:
        parcel = await plain(self)
        if parcel is not None:
            sent = relay.msgspec.structs.replace(
                self._sent, n=parcel.n, position=parcel.position, forward=parcel.forward
            )
            await self._keep(sent, self._counts.begin())
        return parcel

    patch.setattr(Relay, "_next", next_parcel)


def newest_mark_only(patch: Patch) -> None:
    """Only the newest mark is looked at: what was published behind a hole hides it."""
    plain = Relay._look

    async def look(self: Relay) -> None:
        self._verified = self._kept
        await plain(self)

    patch.setattr(Relay, "_look", look)


def holes_ignored(patch: Patch) -> None:
    """Nobody looks for messages that are gone while those around them stand: the end of a strand is missed for ever."""

    async def look(*_: Any) -> None:
        pass

    patch.setattr(Relay, "_look_for_holes", look)


def counters_not_reduced(patch: Patch) -> None:
    """Going back leaves the counts of subjects as they were: what is published again has other numbers."""

    async def counted(*_: Any) -> Counter[str]:
        return Counter()

    patch.setattr(Relay, "_counted", counted)


def repetitions_known_for_a_while(patch: Patch) -> None:
    """The inbox knows an event for some seconds only, as a broker's window does."""
    plain = intake.identity_of

    def identity_of(kind: str, name: str) -> bytes:
        window = int(asyncio.get_running_loop().time()) // WINDOW_S
        return plain(kind, f"{name}/{window}" if kind == "event" else name)

    patch.setattr(intake, "identity_of", identity_of)


def place_before_events(patch: Patch) -> None:
    """The place is durable before the events that were read up to it."""
    plain = Intake.take

    async def take(self: Intake, messages: Any, place: Notes) -> bool:
        node = self._node
        position = node.append(Commit(epoch=node.epoch, notes=place), None)
        node.store.flush()
        await node.store.durable(position)
        return await plain(self, messages, place)

    patch.setattr(Intake, "take", take)


def place_not_verified(patch: Patch) -> None:
    """A reader goes on from its sequence number, whatever stands there now."""

    async def newest_standing(broker: Any, notes: Any) -> Any:
        return notes[0], await broker.state()

    async def stands(*_: Any) -> bool:
        return True

    patch.setattr(log_reader, "newest_standing", newest_standing)
    patch.setattr(log_reader, "stands", stands)


def gaps_ignored(patch: Patch) -> None:
    """What comes behind a gap is taken, and nobody is asked."""

    async def follows(*_: Any, **__: Any) -> bool:
        return True

    patch.setattr(Tally, "follows", follows)


def nobody_asked(patch: Patch) -> None:
    """What comes behind a gap is refused, and nobody is asked for what is missing."""

    async def ask(_: Strands) -> None:
        return None

    patch.setattr(Strands, "ask", ask)


def process_numbered_twice(patch: Patch) -> None:
    """Each event of a process of another store begins it anew."""
    patch.setattr(Intake, "_process", lambda *_: 0)


def receipts_applied_twice(patch: Patch) -> None:
    """An observer applies receipts each time it reads them."""
    plain = Observer._bundle

    async def bundle(self: Observer, message: Any) -> bool:
        writer, first = message.headers["onstage-writer"], int(message.headers["onstage-first"])
        known = await self._rank(f"heard {writer}")
        self._ranks[f"heard {writer}"] = min(known, first - 1)
        return await plain(self, message)

    patch.setattr(Observer, "_bundle", bundle)


def closed_by_count_alone(patch: Patch) -> None:
    """Receipts go out before their events, and a process with nothing open has ended, whatever its digest says."""
    plain, plain_outcome = Relay._next, Batch.outcome

    async def receipts_first(self: Relay) -> Any:
        parcel = await plain(self)
        if parcel is None:
            return None
        messages = sorted(parcel.messages, key=lambda message: not message.subject.startswith("rcpt."))
        return parcel._replace(messages=messages)

    def outcome(self: Batch) -> Any:
        for row in self.processes.values():
            row.digest = 0 if row.open == 0 else row.digest
        return plain_outcome(self)

    def about(message: Any) -> set[str]:
        return {receipt.event for receipt in decode_wire(message.data)}

    patch.setattr(Relay, "_next", receipts_first)
    patch.setattr(Batch, "outcome", outcome)
    patch.setattr(observer, "_events_in", about)


def registry_not_put_back(patch: Patch) -> None:
    """What the registry lost stays lost."""

    async def nothing(*_: object) -> None:
        return None

    patch.setattr(Registry, "_put_back", nothing)

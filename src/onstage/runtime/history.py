"""History: events that are older than their subscription are delivered, in the order of the log, a page at a time.

Theory of operation. A *course* is one way through the log for one handler number: for a handler with `start="earliest"`
from the first event to the one before its first registration; for a replay from where the operator said, under a number
and name of its own (`shop.bill@1`), so that the key of the inbox, (event, handler), stays unique. A page of obligations
and the course's note, which says how far it has come, are one commit: a crash forgets both or none. The next page
follows when few deliveries of the one before still run.

What belongs to a finished process is delivered without reopening it: not gating, its outputs are roots of new
processes. What belongs to an open one is gating if its handler is. While a handler catches up, newer events of a key
wait, so that a lane is handled in the order of the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.core import lifecycle
from onstage.core.commit import HANDLERS_MAX, Commit, Mail, NewHandler, Note, Notes, Obligation, event_of, execution_id
from onstage.core.lifecycle import Input
from onstage.errors import UsageError
from onstage.events.envelope import hlc_ms, hlc_next
from onstage.events.event import event_type
from onstage.events.receipt import Receipt, Status, token
from onstage.runtime.delivery import Delivery, Reaction
from onstage.runtime.emission import Emission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from onstage.contracts.handler import Handler
    from onstage.ports.store import EventView, Reader
    from onstage.runtime.node import Node

__all__ = ["HISTORY", "Course", "History", "courses_in", "is_heard"]

HISTORY: Final = "history"
"""The topic of the notes that say how far history is delivered, by handler number."""
PAGE: Final = 50
HISTORY_RUNNING_MAX: Final = 100
"""While so many deliveries of a course run or are about to, no further page of it is opened."""
HISTORY_QUEUED_MAX: Final = 100_000
"""While so many deliveries of a course are open in any way, for example behind a dead letter, none either."""

_NOTES_PAGE: Final = 1000
log = logging.getLogger("onstage.history")


@final
class Course(msgspec.Struct, frozen=True, array_like=True):
    """How far history is delivered: behind event `first`, up to `after` so far, in the end up to `until`.

    `name` is the handler's as it was when the course began. Times are in ms; `ended` is 0 while it runs.
    """

    name: str
    first: int
    after: int
    until: int
    began: int
    given: int = 0
    skipped: int = 0
    ended: int = 0


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Course).decode


async def courses_in(reader: Reader) -> dict[int, Course]:
    """Every course that a store knows, by handler number."""
    found: dict[int, Course] = {}
    after = -1
    while page := await reader.notes(HISTORY, after=after, limit=_NOTES_PAGE):
        found |= {note.number: _DECODE(note.body) for note in page}
        after = page[-1].number
    return found


def is_heard(handler: Handler[object, object], type_name: str) -> bool:
    """Whether an event of this type starts the handler."""
    if handler.pattern is not None:
        return handler.pattern.matches(type_name)
    return any(known.name == type_name for known in handler.triggers)


@final
class History:
    """The courses of one node."""

    def __init__(self, node: Node) -> None:
        """None before `load`."""
        self._node = node
        self.courses: dict[int, Course] = {}
        self._given: dict[int, dict[int, Delivery]] = {}
        self._moved: dict[int, asyncio.Event] = {}

    # Beginning.

    async def load(self) -> None:
        """Learn the courses; a handler that wants history and has none yet gets one. Before anything is taken up."""
        node = self._node
        self.courses = await courses_in(node.store.reader)
        if not node.dispatches:
            return
        notes = list[Note]()
        for reaction in node.reactions.values():
            if reaction.handler.start == "earliest" and reaction.number not in self.courses:
                notes.append(self._noted(reaction.number, await self._from_earliest(reaction)))
            course = self.courses.get(reaction.number)
            if course is not None and self._runs(reaction, course) and not reaction.generation:
                reaction.behind = course.until
        if notes:
            node.append(Commit(epoch=node.epoch, notes=Notes(notes)), None)
            node.store.flush()

    def begin(self) -> None:
        """Go on with every course that has not ended."""
        for number, course in tuple(self.courses.items()):
            reaction = self._node.reactions.get(number)
            if reaction is not None and self._runs(reaction, course):
                self._spawn(reaction)

    @staticmethod
    def _runs(reaction: Reaction, course: Course) -> bool:
        """Whether a course goes on: unless it has ended, or its handler wants no history any more."""
        return not course.ended and (reaction.generation > 0 or reaction.handler.start == "earliest")

    async def _from_earliest(self, reaction: Reaction) -> Course:
        node = self._node
        if node.exchange is not None:
            raise UsageError(
                f'handler {reaction.name} has start="earliest", and this node runs apart\n'
                "  why: its store has only what its own service has heard of\n"
                '  to do: leave start= out here, and ask those that have the past; start="earliest" needs one store'
            )
        born = await self._born(reaction)
        until = await _last(node.store.reader, node.numbers.next_n - 1, lambda event: event.topology < born)
        return self._course(reaction.name, 0, until)

    def _course(self, name: str, first: int, until: int) -> Course:
        now = self._node.clock.now_ms()
        return Course(name, first, first, until, now, ended=now if until <= first else 0)

    async def _born(self, reaction: Reaction) -> int:
        """The first topology epoch that names the handler, under whatever name."""
        names = {reaction.name, *reaction.handler.was}
        for epoch in range(1, self._node.numbers.topology):
            declared = from_stored(await self._node.store.reader.manifest(epoch))
            if any(handler.name in names for handler in declared.handlers):
                return epoch
        return self._node.numbers.topology

    def _noted(self, number: int, course: Course) -> Note:
        self.courses[number] = course
        return Note(HISTORY, number, _ENCODE(course))

    def signed(self, reaction: Reaction, n: int) -> str | None:
        """The earlier name under which this event was delivered late to a handler, None if there is none."""
        course = self.courses.get(reaction.number)
        return course.name if course is not None and n <= course.until and course.name != reaction.name else None

    # Running.

    def look(self) -> None:
        """Something became durable: deliveries may have come to an end."""
        for moved in self._moved.values():
            moved.set()

    def _spawn(self, reaction: Reaction) -> None:
        self._given[reaction.number] = {}
        self._moved[reaction.number] = asyncio.Event()
        self._node.spawn(self._run(reaction))

    async def _run(self, reaction: Reaction) -> None:
        number = reaction.number
        while (course := self.courses[number]).after < course.until:
            await self._room(number)
            await self._give(reaction, course)
        node, course = self._node, self.courses[number]
        course = msgspec.structs.replace(course, ended=node.clock.now_ms())
        node.append(Commit(epoch=node.epoch, notes=Notes((self._noted(number, course),))), None)
        del self._moved[number], self._given[number]
        held, reaction.held, reaction.behind = reaction.held, [], 0
        for delivery in held:
            node.dispatcher.offer(delivery)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()
        log.info("history of %s is delivered: %s events, %s skipped", reaction.name, course.given, course.skipped)

    async def _room(self, number: int) -> None:
        """Wait until few deliveries of this course run. What waits behind others of its key does not run."""
        moved = self._moved[number]
        while True:
            moved.clear()
            in_memory = self._node.open
            given = self._given[number] = {x: d for x, d in self._given[number].items() if in_memory.get(x) is d}
            running = sum(not d.parked and (d.lane is None or d.has_lane) for d in given.values())
            if running < HISTORY_RUNNING_MAX and len(given) < HISTORY_QUEUED_MAX:
                return
            await moved.wait()

    async def _give(self, reaction: Reaction, course: Course) -> None:
        """Open a page of obligations, in one commit with the note; durable when this returns."""
        node = self._node
        page = [e for e in await node.store.reader.events(after=course.after, limit=PAGE) if e.n <= course.until]
        emission, skipped = Emission(node.numbers), list[Obligation]()
        waits = {event_type(cls).name for cls in reaction.waits}
        for event in page:
            if is_heard(reaction.handler, event.type):
                await self._oblige(reaction, event, emission, skipped)
            if event.type in waits:
                await self._post(reaction, event, emission)
        course = msgspec.structs.replace(
            course,
            after=page[-1].n if page else course.until,
            given=course.given + len(emission.deliveries),
            skipped=course.skipped + len(skipped),
        )
        notes = Notes((Note(HISTORY, reaction.number, _ENCODE(course)),))
        commit = Commit(
            epoch=node.epoch,
            opened=[*emission.opened, *skipped],
            mail=emission.mail,
            receipts=emission.receipts,
            notes=notes,
        )
        position = node.append(commit, emission)
        for obligation in skipped:
            node.append(self._skip(reaction, obligation, position), None)
        for receipt in emission.receipts:
            node.watch.reopened(receipt.process)
        node.dispatcher.wake()
        node.dispatcher.flush_soon()
        await node.store.durable(position)
        self.courses[reaction.number] = course
        self._given[reaction.number] |= {delivery.id: delivery for delivery in emission.deliveries}

    async def _oblige(
        self, reaction: Reaction, event: EventView, emission: Emission, skipped: list[Obligation]
    ) -> None:
        node, x = self._node, execution_id(event.n, reaction.number)
        if await node.store.reader.execution(x) is not None:
            return  # it was delivered in an earlier life of the handler
        if await self._is_cancelled(event.process):
            skipped.append(Obligation(x, event.process, gating=False))
            return
        row = await node.store.reader.process(event.process)
        gating = reaction.gating and row is not None and row.open > 0
        delivery = Delivery(x, reaction, event.process, None, None, resumed=True, gating=gating)
        delivery.lane, delivery.names = node.recovery.lane_of(reaction, event), node.names_of(event)
        emission.opened.append(Obligation(x, event.process, gating))
        emission.deliveries.append(delivery)
        if gating:
            emission.receipts.append(self._opened(delivery))

    def _opened(self, delivery: Delivery) -> Receipt:
        """The receipt of an obligation that its event did not open: an open process waits for it from now on."""
        node = self._node
        now = node.clock.now_ms()
        node.numbers.hlc = hlc_next(node.numbers.hlc, now)
        public = delivery.names or node.numbers.names(delivery.process, delivery.n)
        delivery.token = token(*public, delivery.reaction.name, 0)
        delta, ready = delivery.token.to_bytes(16, "big"), int(Status.READY)
        place = (delivery.process, delivery.n, 0, 0, ready, node.numbers.hlc)
        return Receipt(*place, delta, (), now, now, names=delivery.names)

    async def _post(self, reaction: Reaction, event: EventView, emission: Emission) -> None:
        """Put an event into the mailbox that the handler would have had."""
        node = self._node
        there = await node.store.reader.mail(reaction.number, event.process, after=event.n - 1, limit=1)
        if there and there[0].n == event.n:
            return
        emission.mail.append(Mail(reaction.number, event.process, event.n))
        listening = node.numbers.waiting.get(event.process << 16 | reaction.number, ())
        emission.woken.extend(delivery for delivery in listening if event.type in delivery.waits)

    async def _is_cancelled(self, process: int) -> bool:
        """Whether what began this process was cancelled, or it is undone, or was."""
        await self._node.waves.recall(process)
        if process in self._node.waves.stopped:
            return True
        first = await self._node.store.reader.executions(process=process, statuses=(Status.CANCELLED,), limit=1)
        return bool(first) and event_of(first[0].id) == process

    def _skip(self, reaction: Reaction, obligation: Obligation, after: int) -> Commit:
        """Settle an obligation of a cancelled process."""
        node = self._node
        now, status = node.clock.now_ms(), lifecycle.advance(Status.READY, Input.SKIP)
        n, why = event_of(obligation.execution), "its process was cancelled"
        place = (obligation.process, n, reaction.number, 0, int(status), node.numbers.hlc)
        receipt = Receipt(*place, bytes(16), (), now, now, 0, why)
        return Commit(
            execution=obligation.execution,
            process=obligation.process,
            gating=False,
            epoch=node.epoch,
            after=(after,),
            status=int(status),
            started=now,
            ended=now,
            attempts=0,
            code=reaction.code,
            error=why,
            receipts=(receipt,),
        )

    # Replays.

    async def heard(self, reaction: Reaction, after: int, until: int) -> AsyncIterator[EventView]:
        """The events between two numbers that start a handler, in order."""
        while page := await self._node.store.reader.events(after=after, limit=_NOTES_PAGE):
            for event in page:
                if event.n > until:
                    return
                if is_heard(reaction.handler, event.type):
                    yield event
            after = page[-1].n
            await asyncio.sleep(0)

    async def number_before(self, ms: int) -> int:
        """The number of the last event that is older than this time."""
        last = self._node.numbers.next_n - 1
        return await _last(self._node.store.reader, last, lambda event: hlc_ms(event.hlc) < ms)

    async def replay(self, base: Reaction, after: int, until: int) -> Reaction:
        """Begin to deliver the events between two numbers to a handler once more; durable when this returns.

        Raises UsageError if there is no number left for it.
        """
        node = self._node
        number = max(node.handler_names) + 1
        if number > HANDLERS_MAX:
            raise UsageError(
                f"{base.name} cannot be replayed\n  why: the store has {HANDLERS_MAX} handlers and replays, and each "
                "keeps its number\n  to do: emit the events anew instead"
            )
        before = (each.generation for each in node.reactions.values() if each.handler is base.handler)
        reaction = Reaction(base.handler, number, base.retry, generation=max(before) + 1)
        node.handler_names[number], node.reactions[number] = reaction.name, reaction
        note = self._noted(number, self._course(reaction.name, after, until))
        named = (NewHandler(number, reaction.name),)
        position = node.append(Commit(epoch=node.epoch, notes=Notes((note,)), handlers=named), None)
        node.dispatcher.flush_soon()
        await node.store.durable(position)
        if node.dispatches and until > after:
            self._spawn(reaction)
        return reaction


async def _last(reader: Reader, last: int, is_older: Callable[[EventView], bool]) -> int:
    """The number of the last event that is older, where all of these come before all others; 0 if none is."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        found = await reader.events(after=middle, limit=1)
        if found and found[0].n <= last and is_older(found[0]):
            low = found[0].n
        else:
            high = middle
    return low

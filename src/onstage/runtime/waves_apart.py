"""The undoing of processes whose parts are in several stores: what this store tells others of it, and is told.

Theory of operation. The store that holds the root of a process is its owner: there the one row is written that decides.
An outcome in `failed=` reaches the owner in the log, like any event; what else wants to decide asks the owner by
message. From the owner on the wave goes down the edges: a part joins with the first of them, in a commit that writes a
row of its own, and from that row on it begins nothing and stops what runs. What follows from the outcome that decided
is told from the rest by an attribute that events pass on to what is caused by them, over all stores.

Each message is in the outbox of the transaction that notes why it is sent, and each receiver knows repetitions by what
it has noted. A pivot and a rejection wait for the owner's answer: while that is away they wait, and guess nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from onstage.core.commit import Commit, NewEvent, NewProcess, Note, Notes
from onstage.core.undoing import COMPENSATING, PIVOTED, Undoing, decode_undoing, first_row
from onstage.errors import BrokerUnavailable, StoreUnavailable, UsageError
from onstage.events.codec import DecodeFailed
from onstage.events.undoing_told import UNDOING, UNDOING_TYPE, UndoingTold, encode_told
from onstage.ports.store import Refused
from onstage.runtime.emission import Emission, Route
from onstage.runtime.errand import number_of
from onstage.runtime.frame import Park
from onstage.runtime.intake import process_known_as
from onstage.runtime.marks import ID
from onstage.runtime.strands import store_in
from onstage.runtime.wave_links import AskedEdge, asked_notes, asked_topic, decode_asked, filled_in, unanswered
from onstage.runtime.wave_mail import (
    CANCEL,
    PIVOT,
    UNDO_ENDED,
    WAVE,
    CancelEdge,
    EdgeUndone,
    OwnerAsked,
    OwnerSaid,
    decode_letter,
    encode_letter,
    kind_of,
)
from onstage.runtime.wire import aside, following, follows, identity_of, names_in, names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.core.commit import WaveRow
    from onstage.ports.store import Opened
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.exchange import Exchange
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node
    from onstage.runtime.wave_mail import Letter

__all__ = ["WavesApart"]

OWNER_MS: Final = 30_000
"""So often whoever waits for the owner of a process in another store looks by itself whether that has answered."""
UNSAID: Final = "undo unsaid"
"""The topic of outcomes that may have had own processes undone, of which observers were not told yet if they did."""
UNSAID_AT_ONCE: Final = 100
SOUGHT: Final = "undo sought"
"""The topic of what the owners of processes were asked and have not answered."""
log = logging.getLogger("onstage.wave")


@final
class WavesApart:
    """What the waves of one node have to do with other stores."""

    def __init__(self, node: Node, exchange: Exchange) -> None:
        """For this node."""
        self._node = node
        self._exchange = exchange
        self.outcomes: dict[int, str] = {}  # the public ids of those that decided, by process
        self._seen: dict[int, tuple[str, int]] = {}  # outcomes on their way to the disk
        self._joining: set[int] = set()
        self._waiting: dict[int, set[int]] = {}  # executions that wait for an owner, by process
        self._left_alone: dict[int, str] = {}  # processes whose owner said that a rejection does not undo them

    def open(self, opened: Opened) -> None:
        """Take the numbers of the store."""
        self._told = Route(UNDOING_TYPE, opened.types[UNDOING, UNDOING_TYPE.version], None)

    async def resume(self, *, decides: bool) -> None:
        """After a start: answer what was asked for and is not answered, and tell observers what they were not told."""
        for process in await unanswered(self._node.store.reader):
            await self._node.waves.news(process)
        if decides:
            await self.say_unsaid()

    # What follows from which outcome.

    def stamp(self, commit: Commit, emission: Emission | None, deciding: frozenset[int]) -> None:
        """Let events that are about to be appended say from which outcomes they follow."""
        stamped: dict[int, bytes] = {}
        unsaid: list[Note] = []
        for event in commit.events:
            if event.type in deciding and self._is_of_own_process(event):
                unsaid.append(Note(UNSAID, event.n, b""))
            if _is_foreign(event.extra):
                continue
            delivery = self._node.open.get(event.cause) if event.cause else None
            outcomes = follows(delivery.extra) if delivery is not None and delivery.process == event.process else ()
            if event.type in deciding:
                outcomes = (*outcomes, self._node.numbers.identity.wire(event.n))
            if outcomes:
                event.extra = stamped[event.n] = following(event.extra, outcomes)
        for delivery in emission.deliveries if emission is not None and stamped else ():
            delivery.extra = stamped.get(delivery.n, delivery.extra)
        if unsaid:
            commit.notes = Notes(unsaid).joined(commit.notes or Notes())

    def appended(self, commit: Commit, position: int, deciding: frozenset[int]) -> None:
        """Outcomes of own processes may decide when this is durable."""
        for event in commit.events:
            if event.type in deciding and self._is_of_own_process(event):
                wire = names_in(event.extra)[1] or self._node.numbers.identity.wire(event.n)
                self._seen[event.n] = (wire, position)

    def heard(self, process: int, undoing: Undoing) -> None:
        """It is durable that a process is undone."""
        outcome, decisive = undoing.outcome, undoing.exempt
        if decisive:
            outcome = self._seen[decisive][0] if decisive in self._seen else self._node.numbers.identity.wire(decisive)
        if outcome:
            self.outcomes[process] = outcome

    async def learn(self, row: WaveRow) -> None:
        """Take up what an earlier life has decided."""
        if outcome := await self.outcome_of(row):
            self.outcomes[row.process] = outcome

    def is_exempt(self, delivery: Delivery) -> bool:
        """Whether an event follows from the outcome that decided, or is it."""
        outcome = self.outcomes.get(delivery.process)
        return outcome is not None and outcome in follows(delivery.extra)

    def batch(self, position: int) -> None:
        """Everything up to this position is durable."""
        seen = [n for n, (_, at) in self._seen.items() if at <= position]
        for n in seen:
            del self._seen[n]
        if seen and self._node.dispatches:
            self._node.spawn(self.say_unsaid())

    def _is_of_own_process(self, event: NewEvent) -> bool:
        process_id = names_in(event.extra)[0]
        return process_id is None or self.is_own(process_id)

    # The owner.

    def is_own(self, wire_id: str) -> bool:
        """Whether this store decides about the process with this public id."""
        return self._node.numbers.identity.local(wire_id) is not None

    async def owner(self, wire_id: str) -> str:
        """A service on the store that decides about a process. Raises BrokerUnavailable, UsageError without one."""
        service = await self._exchange.registry.service_on(store_in(wire_id))
        if service is None:
            raise UsageError(
                f"nobody decides about process {wire_id}\n  why: no service is on the store in which it began\n"
                "  to do: start the service that began it, on the store it had"
            )
        return service

    def told(self, emission: Emission, process: int, state: str, of: Undoing) -> None:
        """Add to an emission what observers are told of an own process."""
        hand = (of.resolved, of.resolved_by, of.note)
        data = encode_told(UndoingTold(state, of.reason, of.since, of.ended, of.residue, *hand))
        emission.emit(self._told, data, None, now_ms=self._node.clock.now_ms(), process=process)

    async def say_unsaid(self) -> None:
        """Outcomes that might have had own processes undone are durable: of those that did not, say so to observers."""
        after = -1
        while page := await self._node.store.reader.notes(UNSAID, after=after, limit=UNSAID_AT_ONCE):
            for note in page:
                await self._say(note.number)
            after = page[-1].number

    async def _say(self, outcome: int) -> None:
        node, emission = self._node, Emission(self._node.numbers)
        event = await node.store.reader.event(outcome)
        view = None if event is None else await node.store.reader.process(event.process)
        rows = () if view is None else await node.store.reader.waves([view.id])
        if view is not None and not rows:
            reason = f"it had come to {view.outcome} already"
            self.told(emission, view.id, PIVOTED, Undoing(reason, node.clock.now_ms()))
        said = Notes((), [(UNSAID, outcome, outcome)])
        node.append(emission.commit(node.epoch, notes=said), emission)
        node.dispatcher.flush_soon()

    # Asking the owner.

    async def _ask(self, process: int, wire_id: str, word: str, reason: str, execution: int) -> bool:
        """Ask the owner of another store's process, once; whether it has said already that it is left as it is.

        `execution` is roused when the owner has answered. Raises BrokerUnavailable if the owner cannot be found now.
        """
        if self._left_alone.get(process) == word:
            return True
        self._waiting.setdefault(process, set()).add(execution)
        number = number_of(f"{wire_id} {word}")
        found = await self._node.store.reader.notes(SOUGHT, after=number - 1, limit=1)
        if found and found[0].number == number:
            return False
        letter = OwnerAsked(wire_id, word, reason, min(self._node.hosted))
        self._send(await self.owner(wire_id), letter, [Note(SOUGHT, number, b"")])
        return False

    async def asked_owner(self, frame: Frame, word: str, reason: str) -> list[WaveRow]:
        """What the owner of an execution's process has said, none if it leaves it alone; parks until it has spoken."""
        delivery, node = frame.delivery, self._node
        assert delivery.names is not None, "only of another store's process"
        stored = await node.store.reader.waves([delivery.process])
        if stored:
            return stored
        said = False
        try:
            said = await self._ask(delivery.process, delivery.names[0], word, reason, delivery.id)
        except BrokerUnavailable as error:
            log.debug("%s waits for the owner of its process: %s", frame.reaction.name, error)
        if not said:
            await frame.park(Park(node.clock.now_ms() + OWNER_MS))
        return []

    async def control(self, action: str, process_id: str) -> str:
        """Have a process of another store cancelled, or undone. Raises LookupError if it is not known here."""
        number = await process_known_as(self._node.store.reader, process_id)
        if number is None:
            raise LookupError(
                f"there is no process {process_id} in this store\n  why: nothing of it has come here\n"
                f"  to do: {action} it at the store of a service that took part in it"
            )
        reason = "an operator has it undone" if action == UNDO_ENDED else "cancelled by an operator"
        return await self._node.waves.request(number, reason, completed=action == UNDO_ENDED)

    async def send_on(self, wire_id: str, reason: str, *, completed: bool) -> str:
        """Send an operator's word to the owner of a process; it is durable here when this returns."""
        service = await self.owner(wire_id)
        word = UNDO_ENDED if completed else CANCEL
        await self._node.store.durable(self._send(service, OwnerAsked(wire_id, word, reason)))
        return f"the {word} of process {wire_id} is on its way to {service}, which decides"

    def _send(self, service: str, letter: Letter, notes: list[Note] | None = None) -> int:
        return self._exchange.send(service, {WAVE: kind_of(letter)}, encode_letter(letter), notes or [])

    # What comes.

    async def take(self, headers: Mapping[str, str], data: bytes) -> None:
        """Do what a message says; it is durable once a commit that is appended behind it is."""
        try:
            letter = decode_letter(headers[WAVE], data)
        except DecodeFailed as error:
            log.warning("message %s was passed over: %s", headers.get(ID, ""), error)
            return
        match letter:
            case CancelEdge():
                await self._cancelled(letter)
            case EdgeUndone():
                await self._undone(letter)
            case OwnerAsked():
                await self._asked(letter)
            case OwnerSaid():
                await self._said(letter)

    async def _cancelled(self, said: CancelEdge) -> None:
        async with self._exchange.asked.lock:  # so that no event of the process begins it here at the same time
            process = await self._exchange.intake.process(said.process)
            if process:
                note, _ = asked_notes(process, AskedEdge(said.event, said.handler, said.waits, said.by))
                known = await self._node.store.reader.notes(asked_topic(process), after=note.number - 1, limit=1)
                if known and known[0].number == note.number and decode_asked(known[0].body).answered:
                    return
            commit, process = self._joining_commit(process, said)
            commit.notes = Notes(asked_notes(process, AskedEdge(said.event, said.handler, said.waits, said.by)))
            position = self._node.append(commit, None)
            self._node.dispatcher.flush_soon()
        self._node.spawn(self._joined(process, position))

    def _joining_commit(self, process: int, said: CancelEdge | OwnerSaid) -> tuple[Commit, int]:
        """The commit with which this part joins the undoing of a process, or an empty one if it has; and its number."""
        node, wire_id = self._node, said.process
        commit = Commit(epoch=node.epoch)
        undoing = Undoing(said.reason, said.since, outcome=said.outcome, declared=said.declared)
        if not process:
            process = node.numbers.next_n
            node.numbers.next_n = process + 1
            hlc, told = node.numbers.hlc, encode_told(UndoingTold(COMPENSATING, said.reason, said.since))
            extra = aside(wire_id)
            row = (process, process, self._told.type_id, None, 0, hlc, node.numbers.topology, told, extra)
            commit.events = [NewEvent(*row)]
            identity = identity_of("process", wire_id)
            commit.roots = [NewProcess(process, None, None, node.clock.now_ms(), wire_id, identity)]
            self._exchange.intake.began(wire_id, process)
        if process not in self._node.waves.stopped and process not in self._joining:
            self._joining.add(process)
            commit.waves = [first_row(process, COMPENSATING, undoing)]
        return commit, process

    async def _joined(self, process: int, position: int) -> None:
        try:
            await self._node.store.durable(position)
        finally:
            self._joining.discard(process)
        await self._node.waves.news(process)

    async def _undone(self, said: EdgeUndone) -> None:
        process = await self._exchange.intake.process(said.process)
        if not process:
            log.warning("process %s is not known here, and an edge of it was undone", said.process)
            return
        position = self._node.append_notes(Notes([filled_in(process, said)]))
        self._node.spawn(self._joined(process, position))

    async def _asked(self, asked: OwnerAsked) -> None:
        number = self._node.numbers.identity.local(asked.process)
        if number is None:
            log.warning("process %s did not begin here, and somebody asks about it", asked.process)
            return
        reason = asked.reason
        try:
            match asked.word:
                case kind if kind in (CANCEL, UNDO_ENDED):
                    completed = asked.word == UNDO_ENDED
                    log.info(
                        "asked from elsewhere: %s", await self._node.waves.request(number, reason, completed=completed)
                    )
                case kind if kind == PIVOT:
                    await self._node.waves.grant(number, reason)
                case _:
                    await self._node.waves.reject(number, reason)
        except (UsageError, LookupError) as error:
            log.info("what was asked from elsewhere came to nothing: %s", error)
        if asked.by:
            self._send(asked.by, await self._answer(number, asked))

    async def _answer(self, number: int, asked: OwnerAsked) -> OwnerSaid:
        rows = await self._node.store.reader.waves([number])
        if not rows:
            return OwnerSaid(asked.process, asked.word, "")
        undoing = decode_undoing(rows[0].body)
        outcome = await self.outcome_of(rows[0])
        state = PIVOTED if rows[0].state == PIVOTED else COMPENSATING
        view = await self._node.store.reader.process(number)
        declared = "" if view is None else view.declared or ""
        return OwnerSaid(asked.process, asked.word, state, undoing.reason, undoing.since, outcome, declared)

    async def outcome_of(self, row: WaveRow) -> str:
        """The public id of the outcome that decided, empty if none did."""
        undoing = decode_undoing(row.body)
        if undoing.outcome or not undoing.exempt:
            return undoing.outcome
        event = await self._node.store.reader.event(undoing.exempt)
        wire = None if event is None else names_of(event)[1]
        return wire or self._node.numbers.identity.wire(undoing.exempt)

    async def _said(self, said: OwnerSaid) -> None:
        node = self._node
        process = await self._exchange.intake.process(said.process)
        if not process:
            return
        number = number_of(f"{said.process} {said.word}")
        answered = Notes((), [(SOUGHT, number, number)])
        commit = Commit(epoch=node.epoch)
        if said.state == PIVOTED and not await node.store.reader.waves([process]):
            row = first_row(process, PIVOTED, Undoing(said.reason, said.since))
            commit.waves = [row]
        elif said.state and said.state != PIVOTED:
            commit, _ = self._joining_commit(process, said)
        elif not said.state:
            self._left_alone[process] = said.word
        commit.notes = answered
        position = node.append(commit, None)
        node.dispatcher.flush_soon()
        node.spawn(self._rouse(process, position))

    async def _rouse(self, process: int, position: int) -> None:
        try:
            await self._node.store.durable(position)
        except (Refused, StoreUnavailable) as error:
            log.debug("what an owner said was not stored: %s", error)
        self._joining.discard(process)
        await self._node.waves.news(process)
        for execution in self._waiting.pop(process, set()):
            delivery = self._node.open.get(execution)
            if delivery is not None:
                self._node.nudge(delivery, position)
        self._node.dispatcher.wake()


def _is_foreign(extra: bytes | None) -> bool:
    """Whether another store has logged the event with these attributes first."""
    return extra is not None and b'"wire"' in extra and names_in(extra)[1] is not None

"""The exchange: what a node has to do with other nodes, put together. Without a broker there is none.

It knows the topology and keeps the routes in line with it, publishes through the relay, reads through log readers (one
for each range of partitions, so that ranges can be handed to other replicas), and asks observers for verdicts.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.contracts.topology import Place, owner_of
from onstage.core.commit import Commit, Note, Notes
from onstage.errors import BrokerUnavailable, OperationError, StoreUnavailable, UsageError
from onstage.events.binding import to_headers
from onstage.events.subject import PARTITIONS, control_subject, subjects_for
from onstage.observe.verdict import Verdict
from onstage.ports.broker import NobodyAnswers
from onstage.runtime.asked_from_elsewhere import AskedFromElsewhere
from onstage.runtime.asking_elsewhere import AskingElsewhere
from onstage.runtime.broker_watch import BrokerWatch, until_there
from onstage.runtime.intake import Intake
from onstage.runtime.joinable import Joinable
from onstage.runtime.log_reader import LogReader
from onstage.runtime.marks import ID
from onstage.runtime.observatory import ASK_S_MAX, Question, verdict_subject
from onstage.runtime.outgoing import encode_forward
from onstage.runtime.presence import be_present
from onstage.runtime.registry import Registry
from onstage.runtime.relay import FORWARD, Relay
from onstage.runtime.strands import store_in
from onstage.runtime.task_end import end_tasks
from onstage.runtime.wire import SENT_AS, identity_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from onstage.contracts.process import Process
    from onstage.events.envelope import Envelope
    from onstage.ports.broker import Broker
    from onstage.runtime.emission import Emission
    from onstage.runtime.log_reader import Taker
    from onstage.runtime.node import Node

__all__ = ["HOSTED", "RANGES", "Exchange"]

HOSTED: Final = "hosted"
"""The topic under which a store keeps the names of the services that run on it."""
RANGES: Final = 8
"""Into how many ranges the partitions of a service fall. A range has one reader."""
PAUSE_S: Final = 0.2
ASKED_AT_ONCE_MAX: Final = 64
"""So many questions at most are with observers at once; others wait their turn."""
OBSERVER_AWAY_S_MAX: Final = 10.0
"""So long whoever waits for a verdict bears that no observer answers."""
ANSWER_S_MAX: Final = 2.0
"""An observer that does not answer this long after it should have is taken for none."""
LOOK_S: Final = 2.0
"""So often observers are asked which processes have ended that events could still join."""
REFRESH_S: Final = 5.0
"""A topology that another node has registered is known after this time at the latest."""

log = logging.getLogger("onstage.exchange")


@final
class Exchange:
    """The links of one node to the others."""

    def __init__(self, node: Node, broker: Broker) -> None:
        """For this node; nothing is opened yet."""
        self._node = node
        self.broker = broker
        self.registry = Registry(broker, lambda: node.store.reader, node.clock.now_ms)
        self.relay = Relay(node, broker)
        self.asking = AskingElsewhere(node, self.send, self.registry)
        self.asked = AskedFromElsewhere(node, self.send, self.asking)
        self.intake = Intake(node, broker, self.registry, self.relay, self.asked)
        self.broker_watch = BrokerWatch(broker)
        self.joinable = Joinable(node, self.verdict)
        self.readers: list[LogReader] = []
        self._forwards = 0
        self._owners: dict[str, str | None] = {}
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE_MAX)
        self._watching: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_present = False

    async def open(self) -> None:
        """Connect and learn the topology; a node that knows one from before does not wait for the broker."""
        await self.registry.load()
        self._node.topologies_kept = set(self.registry.epochs)
        await self._refuse_other_services()
        await self.intake.strands.load()
        newest = await self._node.store.reader.notes(FORWARD, newest_first=True, limit=1)
        self._forwards = newest[0].number if newest else 0
        await self.asked.load()
        if not self._node.dispatches:
            self.adopt()
            return
        self.broker.on_connected = self._connected
        if self._knows_us():
            self._watching = asyncio.get_running_loop().create_task(self._connect_later())
            return
        await self.broker_watch.open()
        await self._register()

    async def _refuse_other_services(self) -> None:
        notes = await self._node.store.reader.notes(HOSTED, limit=1)
        known = set(notes[0].body.decode().split(",")) if notes else self._node.hosted
        if known != self._node.hosted:
            raise UsageError(
                f"this store is that of {_named(known)}, not of {_named(self._node.hosted)}\n"
                "  why: what it has logged is not opened for services that come later, nor ended for those that go\n"
                "  to do: run the same services on it as before, and give others a store of their own"
            )

    async def _claim(self) -> None:
        """Say which store the services are on. Raises UsageError if one of them is on another."""
        store = store_in(self._node.writers[-1])
        for service in sorted(self._node.hosted):
            await self.registry.claim(service, store)

    def _knows_us(self) -> bool:
        wanted = self.registry.current.with_services(self._node.manifest, self._node.hosted, at=Place())
        return wanted is self.registry.current

    async def _connect_later(self) -> None:
        await self.broker_watch.open(at_any_rate=True)
        try:
            await until_there(self._claim)
        except UsageError as error:
            log.error("nothing is read from the broker: %s", error)  # noqa: TRY400  it says what to do
            return
        self._begin_to_read()
        await self._watch()

    async def _register(self) -> None:
        await until_there(self._claim)
        await until_there(lambda: self.registry.register(self._node.manifest, self._node.hosted))
        self.adopt()
        await self._keep_topologies()

    async def _keep_topologies(self) -> None:
        node = self._node
        notes = self.registry.notes(node.topologies_kept)
        if not notes:
            return
        hosted = Note(HOSTED, 0, ",".join(sorted(node.hosted)).encode())
        position = node.append(Commit(epoch=node.epoch, notes=Notes([*notes, hosted])), None)
        node.store.flush()
        await node.store.durable(position)
        node.topologies_kept |= {note.number for note in notes}

    def adopt(self) -> None:
        """Stamp events with the newest topology from now on, and open what it says they owe."""
        current = self.registry.current
        node = self._node
        node.numbers.topology = current.epoch
        node.waves.adopt(current.undoing)
        own = {reaction.name for reaction in node.reactions.values()}
        own |= {f"{name}/wait" for name in own}
        for name, route in node.routes.items():
            route.elsewhere = tuple(sorted(current.obligations(name) - own))

    async def start(self) -> None:
        """Begin to publish and to read."""
        self.adopt()
        for process in self._decided_here():
            for name in process.outcomes:
                self._node.routes[name].decides = True
        await self.relay.start()
        self.intake.strands.start()
        await self.intake.try_refused()
        await self.asked.start()
        self.asking.start()
        self._looking = asyncio.get_running_loop().create_task(self._look_for_ends())
        if self._watching is None:
            self._begin_to_read()
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        log.info("exchanging events as %s", ", ".join(sorted(self._node.hosted)))

    def _begin_to_read(self) -> None:
        node, namespace = self._node, self.broker.namespace
        width = PARTITIONS // RANGES
        for service in sorted(node.hosted):
            types = self._subscribed(service)
            for at in range(RANGES) if types else ():
                subjects = subjects_for(namespace, range(at * width, (at + 1) * width), types)
                self._read(f"{service}-{at}", subjects, service, self.intake.take)
            self._read(f"{service}-control", [control_subject(namespace, service)], service, self.intake.control)

    def _read(self, name: str, subjects: Sequence[str], service: str, take: Taker) -> None:
        reader = LogReader(
            name,
            subjects,
            broker=self.broker,
            reader=lambda: self._node.store.reader,
            clock=self._node.clock,
            take=take,
            begin=lambda: self.registry.joined(service),
        )
        self.readers.append(reader)
        reader.start()

    def _subscribed(self, service: str) -> list[str]:
        """The types, or patterns, that the handlers of a service hear or wait for."""
        types: set[str] = set()
        for handler in self._node.manifest.handlers:
            if handler.service == service:
                types.update(handler.triggers, handler.waits)
        for process in self._decided_here():
            if self._owner_of(process) == service or self._begins_in(process, service):
                types.update(process.outcomes)
        return sorted(types)

    def _decided_here(self) -> list[Process]:
        """The processes kept here that an outcome undoes, or a deadline ends: we must know whether they have one."""
        node = self._node
        decided = [
            process for process in node.processes if process.late is not None or process.name in node.waves.undoing
        ]
        hosted = self._node.hosted
        return [
            process
            for process in decided
            if self._owner_of(process) in hosted or any(self._begins_in(process, name) for name in hosted)
        ]

    def _begins_in(self, process: Process, service: str) -> bool:
        """Whether a handler of this service may begin such a process, though another one owns it."""
        outside = (each for each in self._node.manifest.handlers if each.service == service and not each.gating)
        return any(known.name in each.emits for each in outside for known in process.starts)

    def _owner_of(self, process: Process) -> str | None:
        return owner_of(process.manifest(), self._node.manifest.handlers)

    async def _watch(self) -> None:
        while True:
            await self._look_at_topology()
            await asyncio.sleep(REFRESH_S)

    async def _look_at_topology(self) -> None:
        try:
            await self.registry.register(self._node.manifest, self._node.hosted)
            self.adopt()
            await self._keep_topologies()
            if not self._is_present:
                own = {reaction.name for reaction in self._node.reactions.values()}
                await be_present(self.broker, own, self._node.hosted)
                self._is_present = True
        except (BrokerUnavailable, StoreUnavailable) as error:
            log.debug("the registry is out of reach: %s", error)
        except Exception:
            log.exception("looking after the registry failed; it is done again in %s s", REFRESH_S)

    async def _look_for_ends(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.joinable.look()
            except StoreUnavailable as error:
                log.debug("nothing can be said of processes that have ended: %s", error)
            except Exception:
                log.exception("looking for processes that have ended failed; it is done again in %s s", LOOK_S)

    def _connected(self) -> None:
        self.relay.doubt()

    def begins(self, commit: Commit, emission: Emission | None) -> None:
        """A commit is about to be appended."""
        if commit.roots:
            self.joinable.begins(commit)
        if commit.events:
            self._node.waves.stamp(commit, emission)

    def refused(self, commit: Commit) -> None:
        """The store has refused a commit."""
        self.intake.refused(commit)
        self.joinable.refused(commit)

    def durable(self, position: int) -> None:
        """Everything up to this position is durable: there may be something to publish."""
        self.intake.durable(position)
        self.relay.poke()

    async def close(self) -> None:
        """Publish and read no more."""
        self.asking.close()
        await end_tasks(self._watching, self._looking)
        readers = (reader.close() for reader in self.readers)
        closing = (self.broker_watch.close(), self.relay.close(), self.intake.strands.close())
        await asyncio.gather(*closing, *readers)
        await self.broker.close()

    # Verdicts, which observers know.

    async def verdict(self, process: str, timeout_s: float | None) -> Verdict:
        """What an observer says of a process: its final verdict, or after `timeout_s` (None: never) the present one.

        Raises LookupError if no observer knows it and it is not of this store, OperationError if none answers.
        """
        loop = asyncio.get_running_loop()
        give_up = None if timeout_s is None else loop.time() + timeout_s
        patience = loop.time() + OBSERVER_AWAY_S_MAX
        while True:
            left_s = ASK_S_MAX if give_up is None else min(ASK_S_MAX, max(0.0, give_up - loop.time()))
            verdict, error = await self._asked(Question(process, left_s))
            if verdict is not None and verdict.is_final:
                return verdict
            is_late = give_up is not None and loop.time() >= give_up
            if error is not None and (is_late or loop.time() > patience):
                raise error
            if is_late:
                return verdict or await self._unseen(process)
            if verdict is None:
                await asyncio.sleep(PAUSE_S)
            if error is None:
                patience = loop.time() + OBSERVER_AWAY_S_MAX

    async def _asked(self, question: Question) -> tuple[Verdict | None, OperationError | None]:
        subject, patience_s = verdict_subject(self.broker.namespace), question.timeout_s + ANSWER_S_MAX
        try:
            async with self._asking:
                data = await self.broker.ask(subject, msgspec.json.encode(question), timeout_s=patience_s)
        except BrokerUnavailable as error:
            return None, error
        except NobodyAnswers:
            return None, OperationError(
                "no observer answers\n  why: in a store of its own a service sees only its part of a process\n"
                "  to do: start one with `onstage observe --broker ... --store sqlite:///view.db`"
            )
        return msgspec.json.decode(data, type=Verdict | None), None

    async def _unseen(self, process: str) -> Verdict:
        number = self._node.numbers.identity.local(process)
        if number is None or await self._node.store.reader.process(number) is None:
            raise LookupError(f"there is no process {process} that an observer knows")
        return Verdict("running", None, ("no observer has seen it yet",))

    # Events from outside that others decide about.

    def owner(self, type_name: str) -> str | None:
        """The service that decides what process such an event from outside begins or joins, None if that is us."""
        if type_name not in self._owners:
            self._owners[type_name] = self._find_owner(type_name)
        return self._owners[type_name]

    def _find_owner(self, type_name: str) -> str | None:
        node = self._node
        known = [process for process in node.processes if type_name in node.admission.known[process.name]]
        beginning = [process for process in known if any(type_name == each.name for each in process.starts)]
        for process in beginning or known:
            owner = self._owner_of(process)
            if owner is not None and owner not in node.hosted:
                return owner
        return None

    def forward(self, owner: str, envelope: Envelope) -> tuple[int, int, int, str | None]:
        """Send an event to its owner; it is kept until it is there. What was decided: nothing yet, but for an id."""
        wire = f"{self._node.writers[-1]}-f{self._forwards + 1}"
        # The same event sent again leads to the same process, whichever copy its owner admits.
        name = wire if not envelope.id else identity_of(envelope.source, envelope.id).hex()
        extensions = envelope.extensions | {SENT_AS: name}
        sent = msgspec.structs.replace(envelope, id=envelope.id or wire, extensions=extensions)
        return 0, self.send(owner, to_headers(sent), envelope.data), 0, name

    def send(
        self,
        service: str,
        headers: Mapping[str, str],
        data: bytes,
        kept: Sequence[Note] = (),
        *,
        dropped: Sequence[tuple[str, int, int]] = (),
    ) -> int:
        """Send a message to a service, kept until it is there, in one commit with these notes; answers its position."""
        self._forwards += 1
        wire = f"{self._node.writers[-1]}-f{self._forwards}"
        note = Note(FORWARD, self._forwards, encode_forward(service, {**headers, ID: wire}, data))
        return self._node.append_notes(Notes([note, *kept], dropped))


def _named(services: Collection[str]) -> str:
    return " and ".join(sorted(services))

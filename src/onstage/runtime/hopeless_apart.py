"""Waits in vain where services run apart: an observer finds them, and the store of whoever waits decides.

Theory of operation. An observer folds a receipt only when it has all events that it speaks of, and an event opens all
that it obliges to. So what is open in its store is a cut: whatever it has not read yet comes of something that is open
there, and what that cannot lead to cannot come any more. It tells the service of whoever waits, again and again until
that has gone on, and names the events of the awaited types that it has seen. The service believes it if the execution
still waits as the observer saw it, and all those events have arrived: then its mailbox has all that there will ever
be.

Nothing is told before the observer has read the log to its end; not because it would be wrong, but because most of it
would be old.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.contracts.manifest import AppManifest
from onstage.core.commit import event_of, execution_id
from onstage.errors import BrokerUnavailable, StoreUnavailable
from onstage.events.answer import ANSWER_PREFIX, is_answer
from onstage.events.receipt import OPEN_MAX, Status
from onstage.events.subject import control_subject
from onstage.observe.possible import Possible
from onstage.ports.broker import Message
from onstage.runtime.hopeless_waits import AGAIN_S, EVENTS_LOOKED_AT_MAX, PACE_S, PAGE, hopeless_in, unanswered
from onstage.runtime.marks import ID
from onstage.runtime.task_end import end_tasks
from onstage.runtime.wire import names_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.ports.broker import Broker
    from onstage.ports.store import EventView, Reader
    from onstage.runtime.hopeless_waits import Hopeless
    from onstage.runtime.node import Node
    from onstage.runtime.registry import Registry

__all__ = ["IN_VAIN", "HopelessApart", "InVain", "believe"]

IN_VAIN: Final = "onstage-in-vain"
"""The header of what an observer says of a wait; its body is an `InVain`."""
AGAIN_S_MAX: Final = 64.0
"""What a service has not acted upon is told again after `AGAIN_S`, then less and less often."""
log = logging.getLogger("onstage.waits")


class InVain(msgspec.Struct, frozen=True, array_like=True):
    """The execution of `handler` for `event`, which parked at `ended` (ms), waits in vain for these types.

    `seen` are the events of these types in its process that there are, `requests` those of its own that nobody will
    answer; all by their public ids.
    """

    event: str
    handler: str
    ended: int
    types: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()


class _Told(NamedTuple):
    """What was told of a wait: of which, when it is to be told again, and after how long then."""

    ended: int
    due_s: float
    pause_s: float


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(InVain).decode


async def believe(node: Node, data: bytes) -> None:
    """Act on what an observer says of a wait, if the execution still waits like that and has all that there is."""
    try:
        said = _DECODE(data)
    except (ValueError, RecursionError):
        log.warning("what was said of a wait cannot be read")
        return
    assert node.exchange is not None, "it came over a broker"
    find = node.exchange.asked.find
    n, reaction = await find(said.event), next((r for r in node.reactions.values() if r.name == said.handler), None)
    if n is None or reaction is None or any(not course.ended for course in node.history.courses.values()):
        return
    x = execution_id(n, reaction.number)
    delivery, stored = node.open.get(x), await node.store.reader.execution(x)
    if delivery is None or stored is None:
        return
    view = stored.execution
    if view.status != Status.WAITING or view.ended != said.ended:
        return
    for wire in said.seen:
        if await find(wire) is None:
            return  # it is still on its way to us
    never = {*said.types}
    for wire in said.requests:
        request = node.numbers.identity.local(wire)
        event = None if request is None else await node.store.reader.event(request)
        if event is not None:
            never.add(unanswered(f"{ANSWER_PREFIX}{event.type}", event.n))
    told = (view.length, frozenset(never))
    if never and delivery.hopeless != told:
        delivery.hopeless = told
        node.nudge(delivery, 0)
        node.dispatcher.wake()


@final
class HopelessApart:
    """Looks at the processes in one observer's store in which somebody waits."""

    def __init__(
        self, reader: Callable[[], Reader], broker: Broker, registry: Registry, is_current: Callable[[], bool]
    ) -> None:
        """`start` it on an open store."""
        self._reader = reader
        self._broker = broker
        self._registry = registry
        self._is_current = is_current
        self._waiters: dict[int, set[int]] = {}
        self._due: dict[int, float] = {}
        self._told: dict[int, _Told] = {}
        self._possible = Possible(AppManifest(handlers=()))
        self._always: frozenset[str] = frozenset()
        self._epoch = -1
        self._place = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look, at every process in which somebody waits."""
        reader, after = self._reader(), 0
        self._place = await reader.newest_receipt()
        while page := await reader.executions(statuses=[Status.WAITING], after=after, limit=PAGE):
            for view in page:
                self._waiters.setdefault(view.process, set()).add(view.id)
            after = page[-1].id
        self._due = dict.fromkeys(self._waiters, 0.0)
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def poke(self) -> None:
        """Something was written."""
        self._wake.set()

    async def close(self) -> None:
        """Look no more."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due_s()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._read()
                if self._due and self._is_current():
                    await self._look()
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.debug("waits are not looked at for a moment: %s", error)
            except Exception:
                log.exception("looking at waits failed; it is tried again in %s s", AGAIN_S)
            await asyncio.sleep(PACE_S)

    def _until_due_s(self) -> float | None:
        if not self._due:
            return None
        left_s = min(self._due.values()) - asyncio.get_running_loop().time()
        return min(max(left_s, 0.0 if self._is_current() else AGAIN_S / 4), AGAIN_S_MAX)

    async def _read(self) -> None:
        while page := await self._reader().receipts(after=self._place, limit=PAGE):
            for receipt in (receipt for bundle in page for receipt in bundle.receipts):
                x, waiters = execution_id(receipt.event, receipt.handler), self._waiters.get(receipt.process, set())
                if receipt.status == Status.WAITING:
                    self._waiters.setdefault(receipt.process, waiters).add(x)
                elif x in waiters:
                    self._goes_on(receipt.process, x)
                if receipt.process in self._waiters and (receipt.status > OPEN_MAX or x in waiters):
                    self._due[receipt.process] = 0.0
            self._place = page[-1].position

    def _goes_on(self, process: int, x: int) -> None:
        self._waiters[process].discard(x)
        self._told.pop(x, None)
        if not self._waiters[process]:
            del self._waiters[process]
            self._due.pop(process, None)

    async def _look(self) -> None:
        self._know(self._registry.current.epoch)
        now = asyncio.get_running_loop().time()
        for process in [process for process, due_s in self._due.items() if due_s <= now]:
            del self._due[process]
            found = await hopeless_in(self._reader(), self._possible, process, always=self._always)
            if not found:
                continue
            self._due[process] = now + AGAIN_S
            if (await self._registry.refresh()).epoch != self._epoch:
                return  # somebody has come who may do more
            dues = [await self._tell(each, now) for each in found]
            self._due[process] = min(dues)

    def _know(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        topology, self._epoch = self._registry.current, epoch
        manifest = AppManifest(handlers=topology.handlers, processes=topology.processes, types=topology.types)
        self._possible = Possible(manifest)
        # What is given to these from the past is known to their own stores only.
        self._always = frozenset(each.name for each in topology.handlers if each.start != "new")

    async def _tell(self, hopeless: Hopeless, now: float) -> float:
        """Tell the service of whoever waits, if that is due; answers when it is to be told again."""
        waiter, told = hopeless.waiter, self._told.get(hopeless.waiter.id)
        if told is None or told.ended != waiter.ended:
            told = _Told(waiter.ended, now, AGAIN_S)
        if told.due_s > now:
            return told.due_s
        said = await self._said(hopeless)
        told = _Told(waiter.ended, now + told.pause_s, min(2 * told.pause_s, AGAIN_S_MAX))
        self._told[waiter.id] = told
        if said is not None:
            subject = control_subject(self._broker.namespace, waiter.handler.partition(".")[0])
            await self._broker.publish([Message(subject, _ENCODE(said), {IN_VAIN: "1", ID: ""})])
        return told.due_s

    async def _said(self, hopeless: Hopeless) -> InVain | None:
        """What is to be said of it; None if the process has too many events."""
        waiter, reader = hopeless.waiter, self._reader()
        events = await reader.events(process=waiter.process, limit=EVENTS_LOOKED_AT_MAX + 1)
        trigger = await reader.event(event_of(waiter.id))
        if len(events) > EVENTS_LOOKED_AT_MAX or trigger is None:
            return None
        types = tuple(sorted(name for name in hopeless.never if not is_answer(name)))
        return InVain(
            _wire(trigger),
            waiter.handler,
            waiter.ended,
            types,
            tuple(_wire(each) for each in events if each.type in types),
            tuple(
                _wire(each) for each in events if unanswered(f"{ANSWER_PREFIX}{each.type}", each.n) in hopeless.never
            ),
        )


def _wire(event: EventView) -> str:
    return names_of(event)[1] or ""

"""Waits for what cannot come any more: found behind the log, and failed at once instead of at their timeout.

Theory of operation. One look takes the open obligations of one process in one reading of the store. What they cannot
lead to cannot come any more, whatever is done meanwhile: all that is appended since comes of these obligations, too.
So no lock is needed, and nothing has to be stored: the executions that wait are told in memory and run again, look
once more into their mailbox, and what they then raise is an entry of their journal. If the node dies before that entry
is durable, the next one looks at every process in which somebody waits.

An ask is the same, with one request instead of types: nobody will answer it when nothing that it obliges is open, and
no answer is there. Such a request is named by its type and number (`unanswered`).

What an execution is told is of use to it only while its journal is as it was in that reading: if it has committed
anything since, it has gone on, and is looked at again.

A process is looked at when a receipt says that something of it has changed and somebody waits in it, and never else.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, final

from onstage.core.commit import event_of
from onstage.errors import StoreUnavailable
from onstage.events.answer import ANSWER_PREFIX, is_answer
from onstage.events.delayed import LATER
from onstage.events.receipt import OPEN_MAX, Status
from onstage.observe.possible import Possible
from onstage.runtime.task_end import end_tasks
from onstage.runtime.watch import kept_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from onstage.events.receipt import Receipt
    from onstage.ports.store import ExecutionView, Reader
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = [
    "EVENTS_LOOKED_AT_MAX",
    "OPEN_LOOKED_AT_MAX",
    "Hopeless",
    "HopelessWaits",
    "hopeless_in",
    "hopeless_waits_of",
    "is_hopeless",
    "unanswered",
]

OPEN_LOOKED_AT_MAX: Final = 200
"""While a process has more open obligations, nothing in it is called hopeless."""
EVENTS_LOOKED_AT_MAX: Final = 1_000
"""If a process has more events, no request in it is called unanswered."""
PAGE: Final = 100
PACE_S: Final = 0.05
"""So long at least lies between two looks."""
AGAIN_S: Final = 1.0
"""What failed, or could not be judged yet, is tried again after so long."""
log = logging.getLogger("onstage.waits")


class Hopeless(NamedTuple):
    """An execution that waits, and the types of events among what it waits for that cannot come any more.

    Of an answer the name says which one is meant: see `unanswered`.
    """

    waiter: ExecutionView
    never: frozenset[str]


def unanswered(type: str, n: int) -> str:
    """What an answer of this type is called if it is the one to request number `n`."""
    return f"{type}#{n}"


def is_hopeless(frame: Frame, types: Iterable[str]) -> bool:
    """Whether an execution was told that none of these can come, and has done nothing since."""
    told = frame.delivery.hopeless
    return told is not None and told[0] == frame.execution.length and told[1].issuperset(types)


async def hopeless_in(
    reader: Reader, possible: Possible, process: int, *, always: Collection[str] = ()
) -> list[Hopeless]:
    """Who waits in a process for what cannot come any more.

    `always` are handlers that may have something to do in it although nothing says so.
    """
    view, root = await reader.process(process), await reader.event(process)
    if view is None or root is None:
        return []
    limit = OPEN_LOOKED_AT_MAX + 1
    open_ = await reader.executions(process=process, statuses=range(Status.DONE), limit=limit)
    waiters = [each for each in open_ if each.status == Status.WAITING and each.waits]
    if len(open_) == limit or not waiters:
        return []
    gating = [each for each in open_ if each.gating]
    events = [await reader.event(event_of(each.id)) for each in gating if each.handler == LATER]
    # A delayed event that cannot be read is of no known type.
    kept = ["" if event is None else kept_type(event) or "" for event in events]
    handlers = {*always, *(each.handler for each in gating if each.handler != LATER)}
    can = partial(possible.can_still_happen, declared=view.declared, root=root.type, kept=kept)
    missing = await _unanswered_in(reader, process, waiters, {event_of(each.id) for each in gating})
    found: list[Hopeless] = []
    for waiter in waiters:
        never = {name for name in waiter.waits if not is_answer(name) and not can(name, handlers)}
        never.update(missing.get(waiter.id, ()))
        if never:
            found.append(Hopeless(waiter, frozenset(never)))
    return found


async def _unanswered_in(
    reader: Reader, process: int, waiters: Sequence[ExecutionView], open_: Collection[int]
) -> dict[int, list[str]]:
    """The requests of those who wait for an answer of which nothing is open, and that have no answer."""
    asking = {each.id: each.waits for each in waiters if any(is_answer(name) for name in each.waits)}
    if not asking:
        return {}
    events = await reader.events(process=process, limit=EVENTS_LOOKED_AT_MAX + 1)
    if len(events) > EVENTS_LOOKED_AT_MAX:
        return {}
    answered = {event_of(each.cause) for each in events if is_answer(each.type)}
    found: dict[int, list[str]] = {}
    for event in events:
        answers = f"{ANSWER_PREFIX}{event.type}"
        if answers in asking.get(event.cause, ()) and event.n not in answered and event.n not in open_:
            found.setdefault(event.cause, []).append(unanswered(answers, event.n))
    return found


def hopeless_waits_of(node: Node) -> HopelessWaits | None:
    """What looks after the waits of a node; None where no wait can be hopeless, or where parts of processes are."""
    if not node.dispatches or node.exchange is not None:
        return None
    possible = Possible(node.manifest)
    waiting = {each.name for each in node.manifest.handlers if possible.can_fail(each)}
    asking = {each.name for each in node.manifest.handlers if each.asks}
    if not waiting | asking:
        return None
    numbers = {each.name: each.number for each in node.reactions.values()}
    return HopelessWaits(
        node,
        possible,
        {numbers[name] for name in waiting if name in numbers},
        {numbers[name] for name in asking if name in numbers},
    )


@final
class HopelessWaits:
    """Looks at the processes of one node in which somebody waits. `start` it once everything open is known."""

    def __init__(self, node: Node, possible: Possible, waiting: set[int], asking: set[int]) -> None:
        """`waiting` are the numbers of the handlers that may wait for what can become hopeless, `asking` of who asks.

        Whoever asks and nothing else is looked at only when something has ended without a word.
        """
        self._node = node
        self._possible = possible
        self._waiting = waiting
        self._asking = asking
        self._due: dict[int, None] = {}
        self._place = 0
        self._wake = asyncio.Event()
        self._working = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look, at every process in which somebody waits."""
        self._place = await self._node.store.reader.newest_receipt()
        waiting, handlers = self._node.numbers.waiting, self._waiting | self._asking
        self._due = dict.fromkeys(place >> 16 for place in waiting if place & 0xFFFF in handlers)
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def poke(self) -> None:
        """Something was written."""
        self._wake.set()

    @property
    def is_behind(self) -> bool:
        """Whether there is something that it has not looked at."""
        return self._working or self._wake.is_set()

    async def close(self) -> None:
        """Look no more."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if self._due else None):
                    await self._wake.wait()
            self._working = True
            self._wake.clear()
            try:
                await self._read()
                await self._look()
            except StoreUnavailable as error:
                log.debug("waits are not looked at for a moment: %s", error)
            except Exception:
                log.exception("looking at waits failed; it is tried again in %s s", AGAIN_S)
            finally:
                self._working = False
            await asyncio.sleep(PACE_S)

    async def _read(self) -> None:
        numbers, reader = self._node.numbers, self._node.store.reader
        if not numbers.waiting and not numbers.asking:
            self._place = await reader.newest_receipt()
            return
        while page := await reader.receipts(after=self._place, limit=PAGE):
            for bundle in page:
                self._due.update((receipt.process, None) for receipt in bundle.receipts if self._may_end(receipt))
            self._place = page[-1].position

    def _may_end(self, receipt: Receipt) -> bool:
        """Whether, after this, somebody in its process may wait in vain."""
        numbers, process = self._node.numbers, receipt.process << 16
        if any(process | number in numbers.waiting for number in self._waiting):
            return True
        if receipt.status <= OPEN_MAX or receipt.outputs:
            return False
        return receipt.event in numbers.asking or any(process | number in numbers.waiting for number in self._asking)

    async def _look(self) -> None:
        if any(not course.ended for course in self._node.history.courses.values()):
            return  # what is still to be delivered may lead to anything: until then they stay due
        for process in tuple(self._due):
            for each in await hopeless_in(self._node.store.reader, self._possible, process):
                self._tell(each.waiter, each.never)
            self._due.pop(process, None)

    def _tell(self, waiter: ExecutionView, never: frozenset[str]) -> None:
        delivery = self._node.open.get(waiter.id)
        if delivery is None or not never:
            return
        if delivery.hopeless == (waiter.length, never):
            return  # it was told, and waits for something else besides
        delivery.hopeless = (waiter.length, never)
        self._node.nudge(delivery, 0)
        self._node.dispatcher.wake()

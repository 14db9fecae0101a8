"""Mailboxes: events for handlers that wait for their type, kept whether or not somebody waits yet."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from onstage.ports.store import Refused
from onstage.runtime.replies import Replies

if TYPE_CHECKING:
    from onstage.ports.store import EventView
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.emission import Emission
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node

__all__ = ["Mailbox"]

PAGE: Final = 100


@final
class Mailbox:
    """Who listens at which mailbox, and the mail that is not yet durable."""

    def __init__(self, node: Node) -> None:
        """The mailboxes of this node."""
        self._node = node
        self._waiting = node.numbers.waiting
        self.replies = Replies(node.store)
        self._recent: dict[int, int] = {}
        self._order: deque[tuple[int, int]] = deque()

    def listen(self, delivery: Delivery, types: tuple[str, ...]) -> None:
        """From now on mail of these types wakes the execution."""
        delivery.waits = tuple(sorted({*delivery.waits, *types}))
        listeners = self._waiting.setdefault(_place(delivery), [])
        if delivery not in listeners:
            listeners.append(delivery)

    def listen_for_answer(self, delivery: Delivery, about: int, type_name: str) -> None:
        """From now on the answer to this request wakes the execution."""
        delivery.waits = tuple(sorted({*delivery.waits, type_name}))
        if about not in delivery.abouts:
            delivery.abouts = (*delivery.abouts, about)
        self._node.numbers.asking[about] = delivery

    def leave(self, delivery: Delivery) -> None:
        """The execution no longer waits."""
        delivery.waits = ()
        for about in delivery.abouts:
            self._node.numbers.asking.pop(about, None)
        delivery.abouts = ()
        place = _place(delivery)
        listeners = self._waiting.get(place)
        if listeners is None or delivery not in listeners:
            return
        listeners.remove(delivery)
        if not listeners:
            del self._waiting[place]

    def arrived(self, position: int, emission: Emission) -> None:
        """Mail was appended at `position`: remember that it is not durable yet, and wake who waits for it."""
        for mail in emission.mail:
            place = -mail.about if mail.about else mail.process << 16 | mail.handler
            self._recent[place] = position
            self._order.append((position, place))
            if mail.about and not mail.handler:
                self.replies.arrived(position, mail.about)
        for delivery in emission.woken:
            self._node.nudge(delivery, position)

    def durable(self, position: int) -> None:
        """Mail up to this position can be read from the store."""
        self.replies.durable(position)
        order, recent = self._order, self._recent
        while order and order[0][0] <= position:
            at, place = order.popleft()
            if recent.get(place) == at:
                del recent[place]

    async def answer(self, about: int) -> EventView | None:
        """The answer to this request, if it is there."""
        pending = self._recent.get(-about)
        if pending is not None:
            with suppress(Refused):  # then it was no answer
                await self._node.store.durable(pending)
        return await self._node.store.reader.answer(about)

    async def find(self, frame: Frame, types: tuple[str, ...], since: int) -> EventView | None:
        """The first event of these types that this execution has not taken yet, in the order of the inbox."""
        delivery = frame.delivery
        pending = self._recent.get(_place(delivery))
        if pending is not None:
            with suppress(Refused):  # then it was no mail
                await self._node.store.durable(pending)
        after, reader = since, self._node.store.reader
        while True:
            page = await reader.mail(delivery.reaction.number, delivery.process, after=after, limit=PAGE)
            consumed = frame.execution.consumed or ()  # only now: another branch may have taken one meanwhile
            for event in page:
                if event.type in types and event.n not in consumed and event.n != delivery.n:
                    return event
            if len(page) < PAGE:
                return None
            after = page[-1].n


def _place(delivery: Delivery) -> int:
    return delivery.process << 16 | delivery.reaction.number

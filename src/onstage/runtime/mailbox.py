"""Mailboxes: events for handlers that wait for their type, kept whether or not somebody waits yet."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from onstage.ports.store import Refused
from onstage.runtime.replies import Replies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from onstage.ports.store import EventView, Store
    from onstage.runtime.delivery import Delivery
    from onstage.runtime.emission import Emission, Numbers
    from onstage.runtime.frame import Frame

__all__ = ["Mailbox"]

PAGE: Final = 100


@final
class Mailbox:
    """Who listens at which mailbox, and the mail that is not yet durable."""

    def __init__(self, store: Store, numbers: Numbers, nudge: Callable[[Delivery, int, Collection[int]], None]) -> None:
        """The mailboxes of a node; `nudge` runs a delivery again for what came at a position."""
        self._store = store
        self._numbers = numbers
        self._nudge = nudge
        self._waiting = numbers.waiting
        self.replies = Replies(store)
        self._recent: dict[int, int] = {}
        self._order: deque[tuple[int, int]] = deque()

    def listen(self, delivery: Delivery, types: tuple[str, ...]) -> None:
        """From now on mail of these types wakes the execution."""
        delivery.waits = tuple(sorted({*delivery.waits, *types}))
        listeners = self._waiting.setdefault(_place(delivery), [])
        if delivery not in listeners:
            listeners.append(delivery)

    def listen_for_answer(self, delivery: Delivery, about: int, type_name: str, *, joined: bool = False) -> None:
        """From now on the answer to this request wakes the execution; `joined`: somebody else has made it."""
        delivery.waits = tuple(sorted({*delivery.waits, type_name}))
        if about not in delivery.abouts:
            delivery.abouts = (*delivery.abouts, about)
        if not joined:
            self._numbers.asking[about] = delivery
        elif delivery not in (others := self._numbers.joined.setdefault(about, [])):
            others.append(delivery)

    def leave(self, delivery: Delivery) -> None:
        """The execution no longer waits."""
        delivery.waits = ()
        for about in delivery.abouts:
            if self._numbers.asking.get(about) is delivery:
                del self._numbers.asking[about]
            self._part(delivery, about)
        delivery.abouts = ()
        place = _place(delivery)
        listeners = self._waiting.get(place)
        if listeners is None or delivery not in listeners:
            return
        listeners.remove(delivery)
        if not listeners:
            del self._waiting[place]

    def _part(self, delivery: Delivery, about: int) -> None:
        others = self._numbers.joined.get(about)
        if others is not None and delivery in others:
            others.remove(delivery)
            if not others:
                del self._numbers.joined[about]

    def arrived(self, position: int, emission: Emission) -> None:
        """Mail was appended at `position`: remember that it is not durable yet, and wake who waits for it."""
        for mail in emission.mail:
            place = -mail.about if mail.about else mail.process << 16 | mail.handler
            self._recent[place] = position
            self._order.append((position, place))
            if mail.about and not mail.handler:
                self.replies.arrived(position, mail.about)
        if emission.woken:
            abouts = {mail.about for mail in emission.mail}
            for delivery in emission.woken:
                self._nudge(delivery, position, abouts)

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
                await self._store.durable(pending)
        return await self._store.reader.answer(about)

    async def find(self, frame: Frame, types: tuple[str, ...], since: int) -> EventView | None:
        """The first event of these types that this execution has not taken yet, in the order of the inbox."""
        delivery = frame.delivery
        pending = self._recent.get(_place(delivery))
        if pending is not None:
            with suppress(Refused):  # then it was no mail
                await self._store.durable(pending)
        after, reader = since, self._store.reader
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

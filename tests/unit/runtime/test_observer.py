"""The observer: its rows follow from the log alone, whatever order it comes in."""

import asyncio
from dataclasses import dataclass, field

from tests.unit.runtime.playhouse import Clock, Paid, Placed
from tests.unit.runtime.troupe import Troupe, touring

from onstage.brokers.embedded import EmbeddedBroker
from onstage.contracts.topology import Topology
from onstage.core.commit import Notes
from onstage.events.event import event_type
from onstage.ports.broker import Logged
from onstage.ports.store import ProcessView
from onstage.runtime import observatory
from onstage.runtime.marks import ID
from onstage.runtime.observer import Observer
from onstage.runtime.outgoing import SERVICE
from onstage.runtime.registry import Registry
from onstage.runtime.wire import identity_of
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers


@dataclass
class Watching:
    """An observer that is given messages by hand."""

    store: MemoryStore
    observer: Observer
    kept: list[bool] = field(default_factory=list)

    async def take(self, *messages: Logged) -> bool:
        self.kept.append(await self.observer.take(messages, Notes()))
        return self.kept[-1]

    async def process(self) -> ProcessView:
        (row,) = await self.store.reader.processes()
        return row


async def watching(troupe: Troupe) -> Watching:
    broker, store = EmbeddedBroker(troupe.log), MemoryStore(clock=Clock(), workers=InlineWorkers())
    await broker.open()
    registry = Registry(broker, lambda: store.reader, Clock().now_ms)
    await registry.refresh()
    opened = await store.open(observatory._declaration(registry.known))  # noqa: SLF001
    return Watching(store, Observer(store, opened, registry))


async def played(troupe: Troupe) -> list[Logged]:
    await troupe.verdict(await troupe.emit("shop", Placed("o1")))
    return [message for message in troupe.messages() if not message.subject.startswith("ctl.")]


def test_a_process_ends_with_its_last_message_and_not_before() -> None:
    async def story() -> None:
        async with touring() as troupe:
            messages, one = await played(troupe), await watching(troupe)
            for message in messages:
                assert not one.kept or (await one.process()).ended is None
                assert await one.take(message)
            row = await one.process()
            assert (row.open, row.digest, row.outcome) == (0, 0, "shop.paid")

    asyncio.run(story())


def test_the_order_of_the_log_does_not_matter() -> None:
    async def story() -> None:
        async with touring() as troupe:
            messages, one = await played(troupe), await watching(troupe)
            for message in messages[:0:-1]:
                assert not await one.take(message)
            assert one.observer.is_waiting
            assert await one.take(messages[0])
            assert not one.observer.is_waiting
            row = await one.process()
            assert (row.open, row.digest, row.outcome) == (0, 0, "shop.paid")

    asyncio.run(story())


def test_what_comes_again_changes_nothing() -> None:
    async def story() -> None:
        async with touring() as troupe:
            messages, one = await played(troupe), await watching(troupe)
            await one.take(*messages, *messages)
            receipts = one.observer.receipts
            await one.take(*messages)
            assert one.observer.receipts == receipts
            assert one.observer.events == 3
            assert (await one.process()).digest == 0

    asyncio.run(story())


def test_an_event_that_only_receipts_speak_of_is_asked_for() -> None:
    async def story() -> None:
        async with touring() as troupe:
            messages, one = await played(troupe), await watching(troupe)
            missing = next(m for m in messages if m.headers.get("ce-type") == "shop.approved")
            assert not await one.take(*(m for m in messages if m is not missing))
            asks = await one.observer.missing()
            assert ("shop", (missing.headers[ID],)) in [(service, ask.events) for service, ask in asks]
            assert await one.take(missing)
            assert await one.observer.missing() == []

    asyncio.run(story())


def test_a_gap_in_the_receipts_of_a_store_is_asked_for() -> None:
    async def story() -> None:
        async with touring() as troupe:
            for n in range(3):
                await troupe.verdict(await troupe.emit("shop", Placed(f"o{n}")))
            messages = [m for m in troupe.messages() if not m.subject.startswith("ctl.")]
            one = await watching(troupe)
            missing = [m for m in messages if m.subject.startswith("rcpt.") and m.headers[SERVICE] == "bank"][1]
            assert not await one.take(*(m for m in messages if m is not missing))
            assert [(s, ask.behind) for s, ask in await one.observer.missing() if not ask.events] == [("bank", 1)]
            assert one.observer.gaps > 0
            assert await one.take(missing)
            assert all(row.digest == 0 for row in await one.store.reader.processes())

    asyncio.run(story())


def test_a_handler_that_came_later_is_obliged_by_its_first_receipt() -> None:
    async def story() -> None:
        async with touring() as troupe:
            messages, one = await played(troupe), await watching(troupe)
            registry = one.observer._registry  # noqa: SLF001
            epoch, whole = registry.current.epoch, registry.current
            handlers = tuple(each for each in whole.handlers if each.name != "post.tell")
            registry._known[epoch] = Topology(  # noqa: SLF001
                epoch=epoch, handlers=handlers, processes=whole.processes, types=whole.types
            )
            await one.take(*messages)
            found = [view.handler for view in await one.store.reader.executions(process=(await one.process()).id)]
            assert "post.tell" in found

    asyncio.run(story())


def test_what_is_forgotten_is_looked_up() -> None:
    async def story() -> None:
        async with touring() as troupe:
            messages, one = await played(troupe), await watching(troupe)
            for message in messages:
                one.observer._known.clear()  # noqa: SLF001
                one.observer._owing.clear()  # noqa: SLF001
                one.observer._ranks.clear()  # noqa: SLF001
                assert await one.take(message)
            row = await one.process()
            assert (row.open, row.digest, row.outcome) == (0, 0, event_type(Paid).name)
            found = await one.store.reader.doors([identity_of("process", row.wire_id)])
            assert len(found) == 1

    asyncio.run(story())

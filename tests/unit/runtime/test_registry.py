"""The registry: one topology in force, put back when it was lost."""

import asyncio

from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.contracts.manifest import AppManifest, HandlerManifest
from onstage.contracts.topology import Place
from onstage.events.subject import receipt_subject
from onstage.ports.broker import Message
from onstage.runtime.registry import EPOCHS_BEGAN_MS, Registry

SHOP = AppManifest(handlers=(HandlerManifest(name="shop.review", service="shop", triggers=("placed",)),))
BANK = AppManifest(handlers=(HandlerManifest(name="bank.take", service="bank", triggers=("placed",)),))
POST = AppManifest(handlers=(HandlerManifest(name="post.send", service="post", triggers=("placed",)),))


class Nodes:
    """Registries of several nodes over one log; the clock is moved by hand."""

    def __init__(self) -> None:
        self.log = EmbeddedLog()
        self.now_s = 100

    async def registry(self) -> Registry:
        broker = EmbeddedBroker(self.log)
        await broker.open()
        return Registry(broker, lambda: None, lambda: EPOCHS_BEGAN_MS + 1000 * self.now_s)  # type: ignore[arg-type, return-value]

    async def publish(self) -> None:
        broker = EmbeddedBroker(self.log)
        await broker.open()
        await broker.publish([Message(receipt_subject("onstage", 0), b"")])


def names(registry: Registry) -> list[str]:
    return [each.name for each in registry.current.handlers]


def test_nodes_that_start_at_once_lose_nothing_of_each_other() -> None:
    async def story() -> None:
        nodes = Nodes()
        shop, bank = await nodes.registry(), await nodes.registry()
        await asyncio.gather(shop.register(SHOP, ["shop"]), bank.register(BANK, ["bank"]))
        assert names(shop if shop.current.epoch > bank.current.epoch else bank) == ["bank.take", "shop.review"]
        await asyncio.gather(shop.refresh(), bank.refresh())
        assert shop.current == bank.current

    asyncio.run(story())


def test_an_epoch_that_was_given_before_the_registry_was_lost_is_never_given_again() -> None:
    async def story() -> None:
        nodes = Nodes()
        shop = await nodes.registry()
        await shop.register(SHOP, ["shop"])
        known = shop.current
        nodes.log.values.clear()
        nodes.now_s += 60
        bank = await nodes.registry()  # a newcomer, who knows nothing of what was
        await bank.register(BANK, ["bank"])
        assert bank.current.epoch > known.epoch
        await shop.register(SHOP, ["shop"])
        assert names(shop) == ["bank.take", "shop.review"]
        assert await bank.at(known.epoch) == known, "whoever knows it puts it back"

    asyncio.run(story())


def test_what_is_lost_is_put_back_by_whoever_looks_next() -> None:
    async def story() -> None:
        nodes = Nodes()
        shop, bank = await nodes.registry(), await nodes.registry()
        await shop.register(SHOP, ["shop"])
        nodes.log.values.clear()
        await shop.refresh()
        await bank.refresh()
        assert bank.current == shop.current

    asyncio.run(story())


def test_who_knows_more_puts_it_back_though_the_newest_is_there() -> None:
    async def story() -> None:
        nodes = Nodes()
        shop, bank, later = await nodes.registry(), await nodes.registry(), await nodes.registry()
        first = await shop.register(SHOP, ["shop"])
        await shop.register(BANK, ["bank"])
        await bank.refresh()
        assert bank.kept(first.epoch) is None
        nodes.log.values.clear()
        await bank.refresh()
        await shop.refresh()
        await later.refresh()
        assert await later.at(first.epoch) == first
        del nodes.log.values[f"topology.{first.epoch}"]
        for _ in range(2):
            await shop.refresh()
        assert f"topology.{first.epoch}" in nodes.log.values, "each is looked at in its turn"

    asyncio.run(story())


def test_what_is_not_new_is_not_registered_again() -> None:
    async def story() -> None:
        nodes = Nodes()
        shop = await nodes.registry()
        first = await shop.register(SHOP, ["shop"])
        nodes.now_s += 5
        assert await shop.register(SHOP, ["shop"]) is first
        assert shop.epochs == {first.epoch}
        assert [note.number for note in shop.notes(())] == [first.epoch]
        assert shop.notes({first.epoch}) == []

    asyncio.run(story())


def test_a_service_joins_where_the_oldest_topology_says() -> None:
    async def story() -> None:
        nodes = Nodes()
        await nodes.publish()
        shop = await nodes.registry()
        await shop.register(SHOP, ["shop"])
        assert shop.joined("shop") == Place(), "the log is older than the registry: it may hold what obliges somebody"
        await shop.register(POST, ["post"])
        assert shop.joined("post").seq == 1
        assert shop.joined("nobody") == Place()

    asyncio.run(story())

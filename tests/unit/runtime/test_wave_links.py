"""Edges between stores while a process is undone: what is asked once, answered once, and noted in between."""

import asyncio

from tests.unit.runtime.playhouse import Placed
from tests.unit.runtime.shop_undone import undone_shop
from tests.unit.runtime.troupe import Staged, Troupe, touring

from onstage.core.commit import Notes
from onstage.core.undoing import Undoing
from onstage.core.wave import Cancel, Edge, Part, Wave
from onstage.runtime.wave_links import (
    AskedEdge,
    WaveLinks,
    asked_notes,
    asked_topic,
    asks_topic,
    decode_asked,
    filled_in,
    unanswered,
)
from onstage.runtime.wave_mail import WAVE, EdgeUndone, decode_letter

WHY = Undoing("why", 5)


async def links_of(troupe: Troupe, name: str, process_id: str) -> tuple[WaveLinks, int]:
    node = troupe.nodes[name]
    number = await troupe.exchange(name).intake.process(process_id)
    return WaveLinks(node, number, process_id, WHY), number


def told(troupe: Troupe) -> list[str]:
    found = [each for each in troupe.messages("ctl.") if WAVE in each.headers]
    return [f"{each.headers[WAVE]} {decode_letter(each.headers[WAVE], each.data)}" for each in found]


def test_an_edge_is_asked_for_once_in_whatever_life() -> None:
    async def story() -> None:
        did: list[str] = []
        async with touring("stock", play=Staged(*undone_shop(did))) as troupe:
            process = await troupe.emit("stock", Placed("o1", 10))
            await troupe.until(lambda: did == ["+shelf"])
            links, number = await links_of(troupe, "stock", process)
            node = troupe.nodes["stock"]
            await node.settle_window()
            paid = (await node.store.reader.events(type="shop.paid"))[0]
            (edge,) = await links.elsewhere(paid)
            assert edge == Edge(paid.n, "till.take")
            wave = Wave(WaveLinks.is_here)
            await links.feed(wave)
            links.cancel(edge)
            links.cancel(edge)
            await node.settle_window()
            again, _ = await links_of(troupe, "stock", process)
            await again.elsewhere(paid)
            await again.feed(wave)
            again.cancel(edge)
            await node.settle_window()
            assert len(await node.store.reader.notes(asks_topic(number))) == 1
            assert len(await node.store.reader.notes("forward")) == 1
            await troupe.until(lambda: len(told(troupe)) == 1)
            assert told(troupe)[0].startswith("cancel CancelEdge(")

    asyncio.run(story())


def test_an_answer_is_fed_once_and_one_that_is_not_there_is_not() -> None:
    async def story() -> None:
        did: list[str] = []
        async with touring("stock", play=Staged(*undone_shop(did))) as troupe:
            process = await troupe.emit("stock", Placed("o1", 10))
            await troupe.until(lambda: did == ["+shelf"])
            links, number = await links_of(troupe, "stock", process)
            node = troupe.nodes["stock"]
            await node.settle_window()
            paid = (await node.store.reader.events(type="shop.paid"))[0]
            (edge,) = await links.elsewhere(paid)
            wave = Wave(WaveLinks.is_here)
            wave.ended(1, 1, [Part(None, (edge,), is_due=False)])
            await links.feed(wave)
            assert wave.take() == [Cancel(edge)]
            links.cancel(edge)
            wire = node.numbers.identity.wire(paid.n)
            answer = EdgeUndone(process, wire, "till.take", waits=False, residue=("till.take: gone",))
            position = node.append_notes(Notes([filled_in(number, answer)]))
            await node.store.durable(position)
            assert not wave.is_over
            await links.feed(wave)
            assert wave.is_over
            assert list(links.residue) == ["till.take: gone"]

    asyncio.run(story())


def test_what_nobody_here_could_have_begun_is_answered_at_once() -> None:
    async def story() -> None:
        did: list[str] = []
        async with touring("stock", "till", play=Staged(*undone_shop(did))) as troupe:
            process = await troupe.emit("stock", Placed("o1", 10))
            await troupe.until(lambda: did == ["+shelf", "+money"])
            links, number = await links_of(troupe, "till", process)
            node = troupe.nodes["till"]
            asked = asked_notes(number, AskedEdge("elsewhere-1-9", "till.gone", waits=False, by="stock"))
            await node.store.durable(node.append_notes(Notes(asked)))
            assert await unanswered(node.store.reader) == [number]
            await links.feed(Wave(WaveLinks.is_here))
            await node.settle_window()
            (note,) = await node.store.reader.notes(asked_topic(number))
            assert decode_asked(note.body).answered
            assert await unanswered(node.store.reader) == []
            await troupe.until(lambda: any(each.startswith("undone ") for each in told(troupe)))
            assert links.foreign_id == process

    asyncio.run(story())

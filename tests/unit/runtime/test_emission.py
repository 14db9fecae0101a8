"""From what is emitted to what is stored: numbers, obligations, tokens, mail and roots."""

import asyncio
from collections.abc import Callable

from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, playing

from onstage import Process, Service, wait
from onstage.core.commit import event_of, handler_of
from onstage.events.event import event_type
from onstage.events.receipt import Status, token
from onstage.observe.ledger import Ledger
from onstage.runtime.emission import Emission, Route

NOW_MS = 1_700_000_000_000


def shop() -> tuple[Service, Process]:
    made = Service("shop")

    @made.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved)).by)

    @made.on("shop.>", emits=[])
    async def look(e: object) -> None: ...

    return made, Process("order", starts=Placed, done=Paid)


def play(story: Callable[[House], None]) -> None:
    async def run() -> None:
        async with playing(*shop()) as house:
            story(house)

    asyncio.run(run())


def emission(house: House, event: object, *, process: int = 0, cause: int = 0) -> tuple[Emission, int]:
    known = event_type(type(event))
    made = Emission(house.node.numbers)
    route: Route = house.node.routes[known.name]
    n = made.emit(route, known.encode(event), known.key_of(event), now_ms=NOW_MS, process=process, cause=cause)
    return made, n


def test_an_event_from_outside_is_the_root_of_a_process_and_opens_its_obligations() -> None:
    def story(house: House) -> None:
        made, n = emission(house, Placed("o1"))
        (root,) = made.roots
        assert (root.process, root.declared, root.key, root.started) == (n, "order", "o1", NOW_MS)
        assert [event_of(each.execution) for each in made.opened] == [n, n]
        assert {each.gating for each in made.opened} == {True, False}
        (opened,) = made.receipts
        gating = next(each for each in made.opened if each.gating)
        name = house.node.reactions[handler_of(gating.execution)].name
        wire = house.node.numbers.identity.wire(n)
        assert int.from_bytes(opened.delta, "big") == token(wire, wire, name, 0)
        assert made.delta == 0  # that is for what a commit closes and opens itself

    play(story)


def test_an_event_of_a_handler_stays_in_its_process_and_its_tokens_go_into_the_delta() -> None:
    def story(house: House) -> None:
        made, n = emission(house, Placed("o1"), process=7, cause=7 << 16 | 1)
        assert not made.roots
        assert made.outputs == [(n, house.node.routes["shop.placed"].type_id)]
        assert made.delta != 0
        assert all(each.process == 7 for each in made.opened)

    play(story)


def test_mail_is_opened_and_settled_at_once() -> None:
    def story(house: House) -> None:
        made, n = emission(house, Approved("o1"), process=7, cause=7 << 16 | 1)
        (mail,) = made.mail
        assert (mail.process, mail.n) == (7, n)
        (receipt,) = made.receipts
        assert receipt.status == Status.UNMATCHED
        assert made.delta == int.from_bytes(receipt.delta, "big") != 0

    play(story)


def test_numbers_and_clock_only_grow() -> None:
    def story(house: House) -> None:
        first, n = emission(house, Placed("o1"))
        second, m = emission(house, Placed("o2"))
        assert m == n + 1
        assert second.events[0].hlc > first.events[0].hlc

    play(story)


def test_the_ledger_rebuilt_from_receipts_says_the_same_as_the_store() -> None:
    async def story() -> None:
        async with playing(*shop()) as house:
            for number in range(5):
                process = await house.emit(Placed(f"o{number}"))
                if number % 2:
                    await house.emit(Approved(f"o{number}"), process=process)
                    await process.verdict(timeout=5)
                else:
                    await house.until_verdict(process, "waiting")
            ledger, reader = Ledger(), house.node.store.reader
            for bundle in await reader.receipts():
                for seq, receipt in enumerate(bundle.receipts, bundle.seq):
                    assert ledger.apply(bundle.epoch, bundle.shard, seq, receipt)
            for row in await reader.processes():
                assert ledger.digests[row.id] == row.digest
                assert ledger.is_quiescent(row.id) is (row.open == 0)

    asyncio.run(story())


def test_the_times_of_one_event_are_those_of_its_own_deliveries_and_of_no_others() -> None:
    def story(house: House) -> None:
        made, route = Emission(house.node.numbers), house.node.routes["shop.placed"]
        data = route.type.encode(Placed("o1"))
        times: tuple[tuple[int | None, int | None], ...] = ((None, NOW_MS + 5), (NOW_MS + 1, None), (None, None))
        events = [made.emit(route, data, "o1", now_ms=NOW_MS, due=due, expires=expires) for due, expires in times]
        for n, (due, expires) in zip(events, times, strict=True):
            own = [each for each in made.deliveries if each.n == n]
            assert len(own) == 2
            assert {(each.due, each.expires, each.deadline) for each in own} == {(due, expires, expires)}
            assert {each.extra for each in own} == {event.extra for event in made.events if event.n == n}
            assert all((each.extra is None) is (expires is None) for each in own)
            assert all((each.data is None) is (due is not None) for each in own if not each.reaction.wants_envelope)

    play(story)

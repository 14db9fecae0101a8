"""The doors: what is refused, what came before, and which process an event from outside joins."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.runtime.playhouse import Approved, House, Paid, Placed, Refused, memory, playing

from onstage import Envelope, Process, Service, event, wait
from onstage.core.commit import Commit, Refusal, RefusedBecause
from onstage.errors import AmbiguousProcess, DefinitionError, DuplicateId, InvalidEvent, StoreUnavailable
from onstage.ports.store import Refused as StoreRefused
from onstage.stores.batch import Batch


def shop() -> Service:
    made = Service("shop")

    @made.on(Placed)
    async def take(e: Placed) -> Paid:
        return Paid(e.id, (await wait(Approved, Refused)).id)

    return made


def order(**options: Any) -> Process:
    return Process("order", starts=Placed, done=Paid, external=[Approved, Refused], **options)


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Placed(object()), "cannot be encoded"),  # type: ignore[arg-type]
        (Placed("\ud800"), "cannot be encoded"),
        (Placed(5), "the payload does not fit Placed"),  # type: ignore[arg-type]
        (Placed("x" * 600), "the key is longer than 512 bytes"),
        (Placed("x" * 1_100_000), "the limit is 1048576"),
    ],
)
def test_an_event_that_is_wrong_is_refused_and_nothing_is_stored(event: Placed, why: str) -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            with pytest.raises(InvalidEvent, match=why) as refused:
                await house.emit(event)
            assert "to do" in str(refused.value)
            assert await house.events() == []

    asyncio.run(story())


def test_an_event_of_an_unknown_type_is_refused_with_the_known_ones() -> None:
    quiet = Service("quiet")

    @quiet.on(Approved)
    async def take(e: Approved) -> None: ...

    async def story() -> None:
        async with playing(quiet) as house:
            with pytest.raises(InvalidEvent, match=r"use one of shop\.approved"):
                await house.emit(Placed("o1"))
            with pytest.raises(DefinitionError, match="int is not an event"):
                await house.emit(5)
        async with playing(Service("empty")) as house:
            with pytest.raises(InvalidEvent, match="to do: give App"):
                await house.emit(Placed("o1"))

    asyncio.run(story())


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'{"id": 1}', b"\xff"])
def test_a_foreign_payload_that_is_wrong_is_refused(data: bytes) -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            with pytest.raises(InvalidEvent):
                await house.stage.emit_envelope(Envelope(id="1", source="//x", type="shop.placed", data=data))
            assert await house.events() == []

    asyncio.run(story())


@event("shop.sliced")
@dataclass(frozen=True)
class Sliced:
    parts: int

    def __post_init__(self) -> None:
        self.__dict__["share"] = 1 / self.parts


def test_whatever_a_class_raises_about_a_foreign_payload_is_a_refusal() -> None:
    baker = Service("baker")

    @baker.on(Sliced)
    async def take(e: Sliced) -> None: ...

    async def story() -> None:
        async with playing(baker) as house:
            with pytest.raises(InvalidEvent, match="does not fit Sliced\n  why: division by zero"):
                await house.stage.emit_envelope(envelope(type="shop.sliced", data=b'{"parts":0}'))

    asyncio.run(story())


def envelope(**attributes: Any) -> Envelope:
    return Envelope(**{"id": "1", "source": "//x", "type": "shop.placed", "data": b'{"id":"o1"}'} | attributes)


@pytest.mark.parametrize("bad", ["\ud800", "a\0b", "x" * 5_000])
def test_an_id_or_source_that_cannot_be_one_is_refused(bad: str) -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            with pytest.raises(InvalidEvent):
                await house.emit(Placed("o1"), id=bad)
            for wrong in (envelope(id=bad), envelope(source=bad), envelope(extensions={"a": bad})):
                with pytest.raises(InvalidEvent):
                    await house.stage.emit_envelope(wrong)
            assert await house.events() == []

    asyncio.run(story())


def test_without_an_id_nothing_came_before() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            for data in (b'{"id":"o1"}', b'{"id":"o2"}'):
                await house.stage.emit_envelope(envelope(id="", data=data))
            assert len(await house.events()) == 2

    asyncio.run(story())


def test_a_process_that_does_not_exist_is_refused() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            process = await house.emit(Placed("o1"))
            absent = process.id.rpartition("-")[0] + "-999"
            for wrong in (absent, "no-such-thing", "", "x-1", absent + "9" * 20, absent + "9" * 5_000):
                with pytest.raises(LookupError, match="there is no process"):
                    await house.emit(Approved("o1"), process=wrong)
            assert len(await house.events()) == 1

    asyncio.run(story())


# --- what came before -------------------------------------------------------------------------------------


def test_the_same_id_twice_is_the_same_event_over_a_restart_too() -> None:
    async def story() -> None:
        store = memory()
        async with playing(shop(), on=store) as house:
            first = await house.emit(Placed("o1"), id="place-1")
            assert (await house.emit(Placed("o1"), id="place-1")).id == first.id
        async with playing(shop(), on=store) as house:
            assert (await house.emit(Placed("o1"), id="place-1")).id == first.id
            assert len(await house.events()) == 1

    asyncio.run(story())


def test_the_same_id_at_the_same_moment_is_the_same_event() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            handles = await asyncio.gather(*(house.emit(Placed("o1"), id="place-1") for _ in range(20)))
            assert len({handle.id for handle in handles}) == 1
            assert len(await house.events()) == 1

    asyncio.run(story())


@pytest.mark.parametrize("durable_before", [True, False])
def test_the_same_id_with_another_payload_is_refused(durable_before: bool) -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            if durable_before:
                await house.emit(Placed("o1"), id="place-1")
            answers = await asyncio.gather(
                house.emit(Placed("o1"), id="place-1"),
                house.emit(Placed("o1", 7), id="place-1"),
                return_exceptions=True,
            )
            assert isinstance(answers[1], DuplicateId)
            with pytest.raises(DuplicateId, match="draw a new id"):
                await house.emit(Approved("o1"), id="place-1")
            assert len(await house.events()) == 1

    asyncio.run(story())


def slow_look(house: House, *, turns: int) -> None:
    """Let the look into the store take a few turns of the loop, as it does with a store on another machine."""
    reader = house.node.store.reader
    doors = reader.doors

    async def slowly(identities: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        found = await doors(identities)
        for _ in range(turns):
            await asyncio.sleep(0)
        return found

    reader.doors = slowly  # type: ignore[method-assign]


def test_producers_that_all_looked_before_one_was_stored_get_one_event() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            slow_look(house, turns=1)

            async def emitted(turns: int) -> str:
                for _ in range(turns):
                    await asyncio.sleep(0)
                return (await house.emit(Placed("o1"), id="place-1")).id

            answers = await asyncio.gather(*(emitted(turns) for turns in (0, 0, 0, 1, 2, 3)))
            assert len(set(answers)) == 1
            assert len(await house.events()) == 1

    asyncio.run(story())


def test_another_payload_that_was_looked_for_at_the_same_moment_is_refused_by_name() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            slow_look(house, turns=1)
            first, other, again = await asyncio.gather(
                house.emit(Placed("o1"), id="place-1"),
                house.emit(Placed("o1", 7), id="place-1"),
                house.emit(Placed("o1"), id="place-1"),
                return_exceptions=True,
            )
            assert isinstance(other, DuplicateId)
            assert not isinstance(first, BaseException)
            assert not isinstance(again, BaseException)
            assert first.id == again.id

    asyncio.run(story())


def test_foreign_events_are_recognised_by_source_and_id() -> None:
    async def story() -> None:
        async with playing(shop()) as house:
            event = Envelope(id="1", source="//bank", type="shop.placed", data=b'{"id":"o1"}')
            other = Envelope(id="1", source="//post", type="shop.placed", data=b'{"id":"o2"}')
            first = await house.stage.emit_envelope(event)
            assert (await house.stage.emit_envelope(event)).id == first.id
            assert (await house.stage.emit_envelope(other)).id != first.id

    asyncio.run(story())


# --- joining ----------------------------------------------------------------------------------------------


def test_an_event_from_outside_joins_the_open_process_of_its_key_and_type() -> None:
    async def story() -> None:
        store = memory()
        async with playing(shop(), order(), on=store) as house:
            process = await house.emit(Placed("o1"))
            other = await house.emit(Approved("o2"))
            assert other.id != process.id
        async with playing(shop(), order(), on=store) as house:  # what is open is known after a restart too
            assert (await house.emit(Approved("o1"))).id == process.id
            assert (await house.stage.process("o1")).id == process.id

    asyncio.run(story())


def test_an_event_is_not_joined_to_a_process_that_has_ended() -> None:
    async def story() -> None:
        async with playing(shop(), order()) as house:
            process = await house.emit(Placed("o1"))
            await house.emit(Approved("o1"))
            await process.verdict(timeout=5)
            assert (await house.emit(Approved("o1"))).id != process.id
            assert (await house.emit(Approved("o1"), process=process)).id == process.id  # said outright

    asyncio.run(story())


def test_a_start_opens_a_new_generation_and_others_join_the_newest() -> None:
    async def story() -> None:
        async with playing(shop(), order()) as house:
            first, second = await house.emit(Placed("o1")), await house.emit(Placed("o1"))
            assert first.id != second.id
            assert (await house.emit(Approved("o1"))).id == second.id

    asyncio.run(story())


def test_with_one_per_key_a_second_start_joins_the_open_process() -> None:
    async def story() -> None:
        async with playing(shop(), order(one_per_key=True)) as house:
            first, second = await house.emit(Placed("o1")), await house.emit(Placed("o1", 2))
            assert first.id == second.id
            assert (await house.emit(Placed("o2"))).id != first.id

    asyncio.run(story())


def test_two_open_candidates_need_process() -> None:
    parcel = Process("parcel", starts=Refused, done=Paid, external=[Approved])
    keeper = Service("keeper")

    @keeper.on(Refused)
    async def keep(e: Refused) -> None:
        await wait(Approved)

    async def story() -> None:
        async with playing(shop(), keeper, order_of(Placed), parcel) as house:
            first, second = await house.emit(Placed("o1")), await house.emit(Refused("o1"))
            assert second.id != first.id
            with pytest.raises(AmbiguousProcess, match="say which with process="):
                await house.emit(Approved("o1"))
            assert (await house.emit(Approved("o1"), process=first)).id == first.id

    asyncio.run(story())


def order_of(starts: type[Any]) -> Process:
    return Process("order", starts=starts, done=Paid, external=[Approved])


def test_a_process_that_a_non_gating_handler_begins_can_be_joined() -> None:
    audit = Service("audit")

    @audit.on("shop.refused", emits=[Placed])
    async def begin_anew(e: Any) -> Placed:
        return Placed("o9")

    async def story() -> None:
        async with playing(shop(), audit, order_of(Placed)) as house:
            await house.emit(Refused("x"))

            async def began() -> bool:
                return bool(await house.events("shop.placed"))

            await house.until(began)
            process = await house.stage.process("o9")
            assert (await house.emit(Approved("o9"))).id == process.id

    asyncio.run(story())


def test_what_joins_a_process_whose_root_is_refused_is_felled_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await wait(Approved)
        return Paid(e.id)

    original = Batch._refusal  # noqa: SLF001

    def first_refused(batch: Batch, commit: Commit) -> Refusal | None:
        return Refusal(commit, RefusedBecause.USER) if commit.position == 1 else original(batch, commit)

    async def story() -> None:
        async with playing(shop, Process("order", starts=Placed, done=Paid, external=[Approved])) as house:
            monkeypatch.setattr(Batch, "_refusal", first_refused)
            ends = await asyncio.gather(
                house.emit(Placed("o1")), house.emit(Approved("o1")), house.emit(Placed("o2")), return_exceptions=True
            )
            assert isinstance(ends[0], StoreRefused)
            assert isinstance(ends[1], StoreUnavailable)
            assert str(ends[1]).splitlines()[2] == "  to do: send it again"
            assert [event.type for event in await house.node.store.reader.events()] == ["shop.placed"]
            stray = await house.emit(Approved("o1"))  # its process never was: it is on its own
            assert (await stray.verdict(timeout=5)).status == "dead end"

    asyncio.run(story())

"""What comes early, late and twice at the store that answers."""

import asyncio

import msgspec
import pytest
from tests.unit.runtime.playhouse import PATIENCE_S, Placed
from tests.unit.runtime.test_asking_elsewhere import DELIVER, RATE, Elsewhere, answer, asked, ended, started
from tests.unit.runtime.troupe import Troupe, touring

from onstage.events.receipt import Status
from onstage.runtime.admission import OWN_SOURCE, door_of
from onstage.runtime.asked_from_elsewhere import AHEAD, WANTED
from onstage.runtime.cancelling import MARK
from onstage.runtime.errand import CANCEL, ERRAND, WANT, Want, encode_want
from onstage.runtime.local_ways import LocalWays


async def cancel_ahead(troupe: Troupe, at: str, name: str) -> None:
    """A cancel arrives, and is durable."""
    await troupe.exchange(at).asked.take({ERRAND: CANCEL}, name.encode())
    await troupe.nodes[at].settle_window()


async def notes_of(troupe: Troupe, at: str, topic: str) -> int:
    await troupe.nodes[at].settle_window()
    return len(await troupe.nodes[at].store.reader.notes(topic))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_a_cancel_that_overtakes_a_start_from_outside_keeps_it_from_running(restarts: bool, times: int) -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            data = msgspec.json.encode("o1")
            name = door_of("//onstage/start", "o1", DELIVER, data).identity.hex()
            for _ in range(times):
                await cancel_ahead(troupe, "post", name)
            if restarts:
                await troupe.end("post")
                await troupe.begin("post")
            assert await notes_of(troupe, "post", AHEAD) == 1
            assert await LocalWays(troupe.nodes["shop"]).begin(started("o1")) == name
            failure = (await answer(troupe, "shop", name, DELIVER)).failure
            assert failure is not None
            assert failure[0] == "cancelled"
            assert troupe.play.effects == []
            assert [await notes_of(troupe, "post", topic) for topic in (AHEAD, MARK)] == [0, 0]

    asyncio.run(story())


@pytest.mark.parametrize("restarts", [False, True])
def test_a_cancel_that_overtakes_the_start_of_a_child_keeps_it_from_running(restarts: bool) -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            numbers = troupe.nodes["shop"].numbers
            name = numbers.identity.wire(numbers.next_n + 1)  # behind the order, the start of its child
            await cancel_ahead(troupe, "post", name)
            if restarts:
                await troupe.end("post")
                await troupe.begin("post")
            process = await troupe.emit("shop", Placed("o1"))
            assert await ended(troupe, "post", "post.deliver") == Status.CANCELLED
            begun = [
                each.headers["onstage-id"]
                for each in troupe.messages("evt.")
                if each.subject.split(".", 3)[3] == DELIVER
            ]
            assert begun == [name]
            assert troupe.play.effects == []
            assert [await notes_of(troupe, "post", topic) for topic in (AHEAD, MARK)] == [0, 0]
            assert process

    asyncio.run(story())


def test_a_cancel_that_comes_too_late_changes_nothing() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            shop = LocalWays(troupe.nodes["shop"])
            name = await shop.begin(started("o1"))
            assert bytes((await answer(troupe, "shop", name, DELIVER)).value) == b'"at o1"'
            await shop.control("cancel", name, DELIVER)
            await cancel_ahead(troupe, "post", name)
            assert bytes((await answer(troupe, "bank", name, DELIVER)).value) == b'"at o1"'
            assert troupe.play.effects == [("send", "o1")]
            assert await notes_of(troupe, "post", AHEAD) == 0

    asyncio.run(story())


def test_a_want_that_comes_before_its_request_is_kept_and_answered_once_it_came() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            name = door_of(OWN_SOURCE, "q1", RATE, b'{"id":"q1"}').identity.hex()
            for _ in range(2):
                await troupe.exchange("bank").asked.take({ERRAND: WANT}, encode_want(Want(name, "shop")))
            assert await notes_of(troupe, "bank", WANTED) == 1
            await troupe.end("bank")
            await troupe.begin("bank")
            assert await LocalWays(troupe.nodes["post"]).begin(asked("q1")) == name
            async with asyncio.timeout(PATIENCE_S):
                while await notes_of(troupe, "bank", WANTED):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            assert bytes((await answer(troupe, "shop", name)).value) == b"7"
            assert troupe.play.effects == [("look", "q1")]

    asyncio.run(story())


def test_an_errand_of_another_version_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            await troupe.exchange("bank").asked.take({ERRAND: "dance"}, b"")
            name = await LocalWays(troupe.nodes["shop"]).begin(asked("q1"))
            assert bytes((await answer(troupe, "shop", name)).value) == b"7"

    asyncio.run(story())
    assert "an errand of an unknown kind was passed over: dance" in caplog.text

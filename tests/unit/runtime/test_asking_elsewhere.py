"""Requests and workflows that are asked from outside at a node whose store does not answer them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.unit.runtime.playhouse import PATIENCE_S, Paid, Placed, Refused
from tests.unit.runtime.troupe import Play, Troupe, touring

from onstage import Process, Reject, Request, Service, event, sleep, start, step
from onstage.asking_outside import AskingOutside
from onstage.errors import DuplicateId, UsageError
from onstage.events.answer import Answer
from onstage.events.receipt import Status
from onstage.ports.store import Reader, Stored
from onstage.runtime.cancelling import MARK, cancel
from onstage.runtime.local_ways import LocalWays
from onstage.runtime.node import Node
from onstage.runtime.relay import FORWARD
from onstage.state import state

RATE, DELIVER = "bank.get-quota", "onstage.start/post.deliver"


@event("bank.get-quota", key="id")
class GetQuota(msgspec.Struct, Request[int], frozen=True):
    id: str


@event("post.go", key="id")
class Go(msgspec.Struct, frozen=True):
    id: str


class Elsewhere(Play):
    """A bank that answers, a post with a workflow that waits, and a shop that has both but asks neither itself."""

    def __init__(self) -> None:
        super().__init__()
        self.shop, self.bank, self.post = Service("shop"), Service("bank"), Service("post")

        @step
        async def look(order: str) -> int:
            self.effects.append(("look", order))
            return 7

        def fetch(_: None, order: str) -> None:
            self.effects.append(("fetch", order))

        @step(undo=fetch)
        async def send(order: str) -> None:
            self.effects.append(("send", order))

        @self.bank.answers
        async def quota(q: GetQuota) -> int:
            if q.id == "no":
                raise Reject("closed")
            return await look(q.id)

        @self.post.workflow
        async def deliver(order: str) -> str:
            state["order"] = order
            await send(order)
            if order.startswith("late"):
                await sleep("1h")
            return f"at {order}"

        @self.shop.on(Placed)
        async def take(e: Placed) -> Paid | Refused:
            return Paid(e.id, await start(deliver, e.id))

        self.deliver = deliver
        self.order = Process("order", starts=Placed, done=Paid, failed=Refused, owner=self.shop)


class Looking(AskingOutside):
    """Whoever reads the store of a node."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        yield self.node.store.reader


def asked(value: str, **said: Any) -> dict[str, Any]:
    start_ = {"type": RATE, "data": msgspec.json.encode({"id": value}), "id": value, "source": None}
    return start_ | {"key": None, "timeout_s": None} | said


def started(order: str, **said: Any) -> dict[str, Any]:
    start_ = {"type": DELIVER, "data": msgspec.json.encode(order), "id": order, "source": "//onstage/start"}
    return start_ | {"key": order, "timeout_s": None} | said


async def answer(troupe: Troupe, at: str, name: str, type: str = RATE) -> Answer:
    data = await LocalWays(troupe.nodes[at]).answer(name, PATIENCE_S, type)
    assert data is not None
    return msgspec.json.decode(data, type=Answer)


async def executions_at(troupe: Troupe, at: str, handler: str) -> list[Stored]:
    """The executions of a handler at a node, whatever became of them."""
    reader = troupe.nodes[at].store.reader
    views = [await reader.executions(process=row.id, handler=handler) for row in await reader.processes()]
    found = [await reader.execution(view.id) for of_one in views for view in of_one]
    return [stored for stored in found if stored is not None]


async def execution_at(troupe: Troupe, at: str, handler: str, holds: Callable[[Stored], bool]) -> Stored:
    """The first execution of a handler at a node of which this holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := [e for e in await executions_at(troupe, at, handler) if holds(e)]):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return found[0]


async def ended(troupe: Troupe, at: str, handler: str) -> Status:
    """How the one execution of a handler has ended."""
    found = await execution_at(troupe, at, handler, lambda each: not Status(each.execution.status).is_open)
    return Status(found.execution.status)


async def parent_of(troupe: Troupe, order: str) -> int:
    """The execution at the shop that has started a child for this order."""
    found = await execution_at(troupe, "shop", "shop.take", lambda e: e.event.key == order and bool(e.entries))
    return found.execution.id


def test_a_request_is_asked_at_any_node() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            name = await LocalWays(troupe.nodes["shop"]).begin(asked("q1"))
            assert bytes((await answer(troupe, "shop", name)).value) == b"7"
            assert bytes((await answer(troupe, "shop", name)).value) == b"7"  # the kept one
            assert (await troupe.verdict(name)).is_final
            no = await LocalWays(troupe.nodes["post"]).begin(asked("no"))
            assert (await answer(troupe, "post", no)).failure == ("rejected", "closed")

    asyncio.run(story())


def test_the_same_id_is_one_request_wherever_it_is_asked() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            names = [await LocalWays(troupe.nodes[at]).begin(asked("q1")) for at in ("shop", "post", "shop")]
            assert len(set(names)) == 1
            for at in ("shop", "post"):
                assert bytes((await answer(troupe, at, names[0])).value) == b"7"
            here = await LocalWays(troupe.nodes["bank"]).begin(asked("q1"))
            assert bytes((await answer(troupe, "bank", here)).value) == b"7"
            assert bytes((await answer(troupe, "bank", names[0])).value) == b"7"
            assert troupe.play.effects == [("look", "q1")]

    asyncio.run(story())


def test_an_id_that_names_another_request_is_refused_here_and_answered_so_from_there() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            shop, post = LocalWays(troupe.nodes["shop"]), LocalWays(troupe.nodes["post"])
            name = await shop.begin(asked("q1", id="one"))
            with pytest.raises(DuplicateId, match="an id names one request forever"):
                await shop.begin(asked("q2", id="one"))
            assert bytes((await answer(troupe, "shop", name)).value) == b"7"
            assert await post.begin(asked("q2", id="one")) == name
            assert (await answer(troupe, "post", name)).failure == (
                "refused",
                "its id names a request with another payload",
            )

    asyncio.run(story())


def test_a_request_waits_for_its_service_while_both_nodes_come_and_go() -> None:
    async def story() -> None:
        async with touring("shop", "post", play=Elsewhere()) as troupe:
            name = await LocalWays(troupe.nodes["shop"]).begin(asked("q1"))
            assert await LocalWays(troupe.nodes["shop"]).answer(name, 0.01, RATE) is None
            await troupe.end("shop")
            await troupe.begin("bank")
            await troupe.until(lambda: len(troupe.play.effects) == 1 or bool(troupe.messages("evt.")))
            await troupe.end("bank")
            await troupe.begin("bank", "shop")
            assert bytes((await answer(troupe, "shop", name)).value) == b"7"
            assert troupe.play.effects == [("look", "q1")]

    asyncio.run(story())


def test_a_deadline_travels_with_the_request() -> None:
    async def story() -> None:
        async with touring("shop", play=Elsewhere()) as troupe:
            name = await LocalWays(troupe.nodes["shop"]).begin(asked("q1", timeout_s=5.0))
            troupe.clock.ahead_ms += 10_000
            await troupe.begin("bank")
            assert await ended(troupe, "bank", "bank.quota") == Status.SKIPPED
            assert await LocalWays(troupe.nodes["shop"]).answer(name, 0.05, RATE) is None
            assert troupe.play.effects == []

    asyncio.run(story())


def test_the_result_of_a_workflow_is_known_at_every_node_that_asks_for_it() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            name = await LocalWays(troupe.nodes["shop"]).begin(started("o1"))
            for at in ("bank", "shop", "post"):
                if at == "post":
                    await troupe.until(lambda: ("send", "o1") in troupe.play.effects)
                assert bytes((await answer(troupe, at, name, DELIVER)).value) == b'"at o1"'
            assert troupe.play.effects == [("send", "o1")]

    asyncio.run(story())


def test_a_workflow_of_another_store_is_cancelled_by_its_handle() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            shop = LocalWays(troupe.nodes["shop"])
            name = await shop.begin(started("late1"))
            await troupe.until(lambda: bool(troupe.play.effects))
            said = await LocalWays(troupe.nodes["bank"]).control("cancel", name, DELIVER)
            assert said == "the cancel is on its way to post"
            await shop.control("cancel", name, DELIVER)  # twice is well
            failure = (await answer(troupe, "shop", name, DELIVER)).failure
            assert failure is not None
            assert failure[0] == "cancelled"
            assert troupe.play.effects == [("send", "late1"), ("fetch", "late1")]
            with pytest.raises(UsageError, match="only a cancel travels"):
                await shop.control("terminate", name, DELIVER)

    asyncio.run(story())


@pytest.mark.parametrize("is_down", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_child_on_another_store_is_cancelled_with_its_parent(is_down: bool, restarts: bool) -> None:
    async def story() -> None:
        async with touring(*(["shop", "bank"] if is_down else []), play=Elsewhere()) as troupe:
            process = await troupe.emit("shop", Placed("late1"))
            parent = await parent_of(troupe, "late1")
            if not is_down:
                await troupe.until(lambda: bool(troupe.play.effects))
            await cancel(troupe.nodes["shop"], parent)
            await troupe.until(lambda: any("onstage-errand" in m.headers for m in troupe.messages("ctl.")))
            if restarts:
                await troupe.end("shop")
                await troupe.begin("shop")
            if is_down:
                await troupe.begin("post")
            verdict = await troupe.verdict(process)
            assert verdict.is_final
            assert await ended(troupe, "post", "post.deliver") == Status.CANCELLED
            done = [("send", "late1"), ("fetch", "late1")]
            assert troupe.play.effects in ([done, []] if is_down else [done])

    asyncio.run(story())


def test_a_child_elsewhere_is_told_when_its_parent_is_terminated() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            await troupe.emit("shop", Placed("late1"))
            parent = await parent_of(troupe, "late1")
            await troupe.until(lambda: bool(troupe.play.effects))
            await LocalWays(troupe.nodes["shop"]).operate("terminate", parent)
            await troupe.until(lambda: ("fetch", "late1") in troupe.play.effects)
            notes = troupe.nodes["shop"].store.reader.notes
            await troupe.until(lambda: not troupe.nodes["shop"].marks.elsewhere)
            assert await notes(MARK) == []
            assert len(await notes(FORWARD)) == 1

    asyncio.run(story())


def test_live_state_is_read_by_its_name_where_it_runs_and_refused_elsewhere() -> None:
    async def story() -> None:
        async with touring(play=Elsewhere()) as troupe:
            name = await LocalWays(troupe.nodes["shop"]).begin(started("late1"))
            await execution_at(troupe, "post", "post.deliver", lambda each: bool(each.entries))
            assert await Looking(troupe.nodes["post"]).state_of(name, "post.deliver") == {"order": "late1"}
            with pytest.raises(LookupError, match="to do: ask at a node that runs post"):
                await Looking(troupe.nodes["shop"]).state_of(name, "post.deliver")

    asyncio.run(story())

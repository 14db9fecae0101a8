"""What the end of an execution says to whoever asked for it."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.runtime.playhouse import playing

from onstage import Reject, Request, Service, event
from onstage.contracts.manifest import AppManifest, HandlerManifest
from onstage.contracts.topology import Topology
from onstage.core.lifecycle import Input
from onstage.errors import AskFailed, BrokerUnavailable, UsageError
from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.events.receipt import Status
from onstage.runtime.answering import FAILURES, refuse_unanswered


@event("answering.get", key="id")
@dataclass(frozen=True)
class Get(Request[str]):
    id: str


def answering(kind: str) -> Service:
    shop = Service("shop")

    @shop.answers
    async def get(q: Get) -> str:
        match kind:
            case "none":
                return None  # type: ignore[return-value]
            case "large":
                return "x" * EVENT_BYTES_MAX
            case "reject":
                raise Reject("no\x00such")
            case _:
                return kind

    return shop


@pytest.mark.parametrize(("kind", "said"), [("none", "not what its annotation says"), ("large", "is larger than")])
def test_what_is_no_answer_is_set_aside_and_says_why(kind: str, said: str) -> None:
    async def story() -> None:
        async with playing(answering(kind)) as house:
            event = await house.stage.begin("answering.get", b'{"id":"a"}')

            async def aside() -> bool:
                return bool(await house.executions(Status.PARKED))

            await house.until(aside)
            assert said in ((await house.only_execution(Status.PARKED)).error or "")
            assert await house.stage.answer_to(event, 0) is None

    asyncio.run(story())


def test_an_answer_and_a_failure_stand_in_the_commit_that_ends_the_execution() -> None:
    async def story() -> None:
        async with playing(answering("yes")) as house:
            assert await house.stage.ask(Get("a"), timeout=5) == "yes"
            (answer,) = await house.events("onstage.answer/answering.get")
            assert answer.cause == 1 << 16 | house.node.routes["answering.get"].triggers[0].number
        async with playing(answering("reject")) as house:
            with pytest.raises(AskFailed) as failed:
                await house.stage.ask(Get("a"), timeout=5)
            assert (failed.value.kind, failed.value.request) == ("rejected", "answering.get")

    asyncio.run(story())


def test_only_ends_are_failures() -> None:
    assert FAILURES == {Input.REJECT: "rejected", Input.CANCEL: "cancelled", Input.DROP: "dropped"}


class _Registry:
    """Knows nobody, and after a look who answers; or the broker is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.current = Topology()
        self._is_away = is_away

    async def refresh(self) -> Topology:
        if self._is_away:
            raise BrokerUnavailable("away")
        return Topology(handlers=(HandlerManifest(name="b.rate", service="b", triggers=(), answers="shop.rate"),))


def test_what_nobody_answers_is_refused_unless_somebody_may_have_joined() -> None:
    def node(registry: object | None) -> Any:
        exchange = None if registry is None else SimpleNamespace(registry=registry)
        return SimpleNamespace(manifest=AppManifest(handlers=()), exchange=exchange)

    async def story() -> None:
        with pytest.raises(UsageError, match=r"shop.look asks shop.rate, which nobody answers\n  why: no handler"):
            await refuse_unanswered(node(None), "shop.rate", "shop.look")
        await refuse_unanswered(node(_Registry()), "shop.rate", "shop.look")
        await refuse_unanswered(node(_Registry(is_away=True)), "shop.rate", "shop.look")
        with pytest.raises(UsageError, match="no service that has joined answers it"):
            await refuse_unanswered(node(_Registry()), "shop.other", "shop.look")

    asyncio.run(story())

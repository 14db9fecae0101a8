"""Where snags are looked for: who asks in a circle, and what is noted of missing handlers."""

import asyncio

from onstage.contracts.manifest import AppManifest, HandlerManifest
from onstage.core.commit import execution_id
from onstage.events.receipt import Status
from onstage.observe.progress import NO_NODE
from onstage.ports.store import ExecutionView
from onstage.runtime.snags import MISSING, Snag, Snags, circular, obligation_of


def asking(name: str, request: str, *asks: str, lane: str = "until-end", key: str | None = None) -> HandlerManifest:
    return HandlerManifest(name=name, service="s", triggers=(request,), answers=request, asks=asks, lane=lane, key=key)


def test_only_who_may_ask_itself_is_in_a_circle() -> None:
    handlers = (
        asking("s.a", "a", "b", key="id"),
        asking("s.b", "b", "a", "c"),
        asking("s.c", "c"),
        asking("s.d", "d", "d"),
    )
    assert circular(AppManifest(handlers=handlers)) == {"s.a": "id", "s.b": None, "s.d": None}
    assert circular(AppManifest(handlers=(asking("s.d", "d", "d", lane="until-wait"),))) == {}


def view(n: int, handler: str) -> ExecutionView:
    return ExecutionView(execution_id(n, 3), n, handler, int(Status.READY), True, 0, 0, 1, 0, None, 0, 0, 0, (), None)


class _Reader:
    """Has some executions, and what was noted."""

    def __init__(self, *views: ExecutionView) -> None:
        self.views = list(views)
        self.noted: list[object] = []

    async def notes(self, topic: str, *, limit: int) -> list[object]:
        assert (topic, limit) == (MISSING, 1)
        return self.noted

    async def executions(self, *, handler: str, after: int, limit: int, **_: object) -> list[ExecutionView]:
        return [each for each in self.views if each.handler == handler and each.id > after][:limit]


async def found(snags: Snags) -> list[Snag]:
    return [snag async for page in snags.look() for snag in page]


def test_what_a_missing_handler_owes_is_found_once_and_freed_when_it_is_back_also_by_a_later_life() -> None:
    async def story() -> None:
        reader, missing = _Reader(view(1, "s.a"), view(2, "s.b")), {"s.a"}
        snags = Snags(reader, lambda: frozenset(missing), {})  # type: ignore[arg-type]
        await snags.load()
        assert await found(snags) == [Snag(reader.views[0], NO_NODE)]
        assert await found(snags) == []
        reader.views.append(view(3, "s.a"))
        assert await found(snags) == [Snag(reader.views[2], NO_NODE)]
        reader.noted = [snags.note]
        later = Snags(reader, lambda: frozenset(missing), {})  # type: ignore[arg-type]
        await later.load()
        missing.clear()
        assert [snag.why for snag in await found(later)] == [None, None]
        assert await found(later) == []
        assert [snag.why for snag in await found(snags)] == [None, None]

    asyncio.run(story())


def test_an_obligation_is_called_by_its_event_and_handler() -> None:
    assert obligation_of(view(5, "s.a")) == "5/3"

"""The handle of a workflow: what it asks of the stage it came from."""

import asyncio
from typing import Any

from onstage.events.codec import Codec, codec_for
from onstage.observe.verdict import Verdict
from onstage.workflow_handle import WorkflowHandle


class Ways:
    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def verdict_on(self, process: str, timeout_s: float | None) -> Verdict:
        self.asked.append(("verdict", process, timeout_s))
        return Verdict("running")

    async def result_of(self, event: str, type: str, codec: Codec[Any], timeout_s: float | None) -> Any:
        self.asked.append(("result", event, type, timeout_s))
        return codec.read(b"7")

    async def state_of(self, event: str, handler: str) -> dict[str, Any]:
        self.asked.append(("state", event, handler))
        return {"stage": "paid"}

    async def control(self, action: str, event: str, type: str | None = None) -> str:
        self.asked.append((action, event, type))
        return "done"

    async def forked(self, event: str, step: str, id: str | None) -> str:
        self.asked.append(("fork", event, step, id))
        return "a-b-2"


def test_it_asks_for_its_own_execution_and_process() -> None:
    ways = Ways()
    handle: WorkflowHandle[int] = WorkflowHandle("a-b-1", "shop.fulfil", codec_for(int), ways)

    async def story() -> None:
        assert await handle.result(timeout="2s") == 7
        assert await handle.result() == 7
        assert await handle.state() == {"stage": "paid"}
        assert await handle.cancel() == "done"
        assert (await handle.verdict(timeout=None)).status == "running"
        fork = await handle.fork("ship", id="f")
        assert (fork.id, fork.workflow, await fork.result()) == ("a-b-2", "shop.fulfil", 7)

    asyncio.run(story())
    start = "onstage.start/shop.fulfil"
    assert ways.asked == [
        ("result", "a-b-1", start, 2.0),
        ("result", "a-b-1", start, None),
        ("state", "a-b-1", "shop.fulfil"),
        ("cancel", "a-b-1", "onstage.start/shop.fulfil"),
        ("verdict", "a-b-1", None),
        ("fork", "a-b-1", "ship", "f"),
        ("result", "a-b-2", start, None),
    ]
    assert repr(handle) == "Workflow[shop.fulfil a-b-1]"

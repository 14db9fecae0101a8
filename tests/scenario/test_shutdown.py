"""A node that is stopped while branches are at work: nothing outlives it, nothing complains, nothing is lost."""

import asyncio
from pathlib import Path
from typing import Any

from tests.scenario.attack_scenes import Begun, Ended, broken, did

from onstage import App, Service, step


@step
async def stubborn(key: str) -> int:
    """Takes its time to stop, and then succeeds after all."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        await asyncio.sleep(0.02)
    did.append("stubborn")
    return 1


async def together(e: Begun) -> Ended:
    await asyncio.gather(stubborn(e.key), stubborn(e.key))
    return Ended(e.key)


async def alone(e: Begun) -> Ended:
    await asyncio.gather(broken(e.key), stubborn(e.key))
    return Ended(e.key)


def test_no_branch_outlives_its_node(tmp_path: Path) -> None:
    complaints: list[dict[str, Any]] = []
    house = Service("house")
    for handler in (together, alone):
        declare: Any = house.on(Begun)
        declare(handler)

    async def main() -> tuple[list[str], int]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        stage = App(house).run(f"sqlite:///{tmp_path}/a.db")
        stage.drain_s = 0.05
        async with stage:
            await stage.emit(Begun("a"))
        left = len(asyncio.all_tasks()) - 1
        await asyncio.sleep(0.1)
        return list(did), left

    did.clear()
    seen, left = asyncio.run(main())
    assert seen == ["broken", "stubborn", "stubborn", "stubborn"]
    assert left == 0
    assert not complaints

"""Faults in the order in which a test asked for them."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from onstage import step
from onstage.testing.sim_faults import Faults


@step
async def act(n: int) -> int:
    return n


@pytest.fixture
def frame() -> Any:
    return SimpleNamespace(
        delivery=SimpleNamespace(id=7), reaction=SimpleNamespace(service="stage"), driver=SimpleNamespace(node=None)
    )


def test_failures_come_first_in_their_order_then_the_stub_or_the_step(frame: Any) -> None:
    noted: list[Any] = []
    faults = Faults(lambda *what: noted.append(what), lambda: None)

    async def main() -> None:
        faults.failures[act].extend([ValueError("one"), KeyError("two")])
        for kind in (ValueError, KeyError):
            with pytest.raises(kind):
                await faults.invoke(act, frame, "act#0", (3,))
        assert await faults.invoke(act, frame, "act#0", (3,)) == 3
        faults.stubs[act] = None
        assert await faults.invoke(act, frame, "act#0", (3,)) is None
        faults.stubs[act] = lambda n: n + 1
        assert await faults.invoke(act, frame, "act#0", (3,)) == 4

    asyncio.run(main())
    assert faults.calls[act] == 5
    assert noted[0] == ("step", 7, "act", "act#0", 1)


def test_a_crash_comes_after_the_effect_and_never_answers(frame: Any) -> None:
    killed: list[bool] = []
    faults = Faults(lambda *_: None, lambda: killed.append(True))
    faults.crashes["stage", act] += 1

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await faults.invoke(act, frame, "act#0", (3,))
        assert await faults.invoke(act, frame, "act#0", (3,)) == 3

    asyncio.run(main())
    assert killed == [True]

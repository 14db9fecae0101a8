"""What a simulated world says about a process."""

import asyncio
from dataclasses import dataclass

import pytest

from onstage import App, Process, Service, event, step, wait
from onstage.testing import Sim


@event("history.begun", key="key")
@dataclass(frozen=True)
class Begun:
    key: str


@event("history.ended", key="key")
@dataclass(frozen=True)
class Ended:
    key: str


@step
async def act(key: str) -> str:
    return f"acted {key}"


service = Service("service")


@service.on(Begun)
async def play(e: Begun) -> Ended:
    await act(e.key)
    try:
        await wait(Ended, timeout="1h")
    except TimeoutError:
        return Ended(e.key)
    return Ended(e.key)


app = App(service, Process("scene", starts=Begun, done=Ended, owner=service))


def test_a_history_tells_every_call_with_its_time() -> None:
    async def main() -> None:
        async with Sim(app) as sim:
            wire = await sim.emit(Begun("a"))
            await sim.advance("1h")
            assert sim.history("a").splitlines() == [
                "a: completed (history.ended)",
                "  00:00:00.000  Begun(key='a')",
                "    service.play: done",
                '      act#0  ended: "acted a"',
                "      wait#0  waits for history.ended",
                "      wait#0  timed out",
                "  01:00:00.000  Ended(key='a')",
            ]
            assert sim.history(wire).partition(":")[0] == wire
            assert sim.outcome("a") == sim.outcome(wire) == "Ended"
            assert sim.emitted(Ended) == [Ended("a")]

    asyncio.run(main())


def test_what_does_not_exist_is_said() -> None:
    async def main() -> None:
        async with Sim(app) as sim:
            assert sim.outcome("b") is None
            assert "no such process" in sim.history("b")
            with pytest.raises(LookupError):
                sim.verdict("b")

    asyncio.run(main())

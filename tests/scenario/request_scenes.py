"""A parent and a child, and what they have done: for the tests of requests, workflows and cancellations."""

from dataclasses import dataclass
from typing import Any

from tests.scenario.sim_checks import everything

from onstage import App, Reject, Service, event, start, step, wait
from onstage.errors import AskFailed
from onstage.events.receipt import Status
from onstage.testing import Sim


@event("town.go", key="key")
@dataclass(frozen=True)
class Go:
    key: str


effects: list[str] = []


def unmade(result: str, name: str) -> None:
    effects.append(f"unmake {name}")


@step(retries=2, undo=unmade)
async def make(name: str) -> str:
    effects.append(f"make {name}")
    return name


def count(sim: Sim, type_name: str) -> int:
    _, _, events = sim.read(everything)
    return sum(each.type == type_name for each in events)


def statuses(sim: Sim) -> list[Status]:
    _, executions, _ = sim.read(everything)
    return [Status(view.status) for view in executions]


def done_and_undone() -> bool:
    """Whether each step that had an effect was undone, and no other."""
    made = {what.removeprefix("make ") for what in effects if what.startswith("make ")}
    return made == {what.removeprefix("unmake ") for what in effects if what.startswith("unmake ")}


def family(fails: bool = False) -> tuple[App, Service]:
    house = Service("house")

    @house.workflow
    async def child(name: str) -> str:
        await make(name)
        if fails:
            raise Reject(f"no {name}")
        await wait(Go)
        return f"{name} grown"

    @house.workflow(waits=[Go])
    async def parent(name: str) -> str:
        await make(f"{name} first")
        try:
            return await start(child, f"{name} child")
        except AskFailed as error:
            return f"failed: {error.reason}"
        finally:
            effects.append("finally")

    @house.on(Go)
    async def note(e: Go) -> None:
        """So that the type is known at the door."""

    return App(house), house


def named(house: Service, name: str) -> Any:
    return next(each for each in house.handlers if each.name == name)

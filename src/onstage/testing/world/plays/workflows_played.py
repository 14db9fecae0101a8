"""Workflows: started, cancelled, terminated, started again; with children, live state, and journals that begin anew."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from onstage.contracts.service import Service
from onstage.core.journal import Answered, Asked, Continued, StateSet
from onstage.core.retry import Retry
from onstage.durable import continue_as_new, shield
from onstage.errors import AskFailed, Reject
from onstage.events.answer import START_PREFIX
from onstage.runtime.asking import start
from onstage.runtime.calls import sleep, wait
from onstage.state import state
from onstage.testing.checks.request_answers import answers_of, wrongly_answered
from onstage.testing.checks.workflow_runs import badly_started, cancelled_seen, orphans, told_otherwise, value_of
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Act, Play, Said, Scene
from onstage.testing.world.repertoire import TABLES, Approved, book, charge, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["WORKFLOWS", "House"]

SOON: Final = Retry(3, first="50ms", most="1s")
OPEN: Final = "select id from onstage_execution where status < 6 order by id"
STARTS: Final = (
    "select p.wire_id from onstage_process p join onstage_event e on e.n = p.id join onstage_type t on t.id = e.type"
    " where t.name = 'onstage.start/house.build' order by p.id"
)


@dataclass(frozen=True)
class House:
    """What is to be built, in `left` more rounds."""

    key: str
    n: int
    left: int = 0


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    house = Service("house", tables=TABLES)

    @house.workflow(retry=SOON)
    async def floor(n: int) -> int:
        OUTSIDE.stumble()
        await charge(f"floor {n}")
        if n % 3 == 2:
            await sleep("150s")
        if n % 7 == 6:
            raise Reject("no ground")
        await book("floor")
        return n + 1

    @house.workflow(retry=SOON)
    async def build(plan: House) -> str:
        await charge(plan.key)
        state["left"] = plan.left
        if plan.left:
            continue_as_new(House(plan.key, plan.n, plan.left - 1))
        try:
            reached: int = await start(floor, plan.n)
            height = str(reached)
        except AskFailed as error:
            height = error.kind
        OUTSIDE.stumble()
        if plan.n % 4 == 1:
            try:
                await wait(Approved, timeout="60s")
            except TimeoutError:
                state["late"] = True
        if plan.n % 4 == 2:
            await sleep("30s")
        async with shield():
            await pack(plan.key)
        await book("build")
        return f"{plan.n}: {height}"

    return (house,)


async def _cancel(scene: Scene) -> None:
    await _operate(scene, "cancel")


async def _terminate(scene: Scene) -> None:
    await _operate(scene, "terminate")


async def _operate(scene: Scene, action: str) -> None:
    if scene.chance.pick(2):
        found = [n for (n,) in scene.onlooker.rows(OPEN)]
        if found:
            chosen = found[scene.chance.pick(len(found))]
            scene.onlooker.dropped.add(chosen)  # to cancel what keeps an event for later is to drop it
            await scene.ways.operate(action, chosen)
        return
    starts = [wire for (wire,) in scene.onlooker.rows(STARTS)]
    if starts:
        await scene.ways.control(action, starts[scene.chance.pick(len(starts))])


async def _result(scene: Scene) -> None:
    """Somebody asks for a result, and remembers what they were told."""
    starts = [wire for (wire,) in scene.onlooker.rows(STARTS)]
    if starts:
        wire = starts[scene.chance.pick(len(starts))]
        found = await scene.ways.answer(wire, (0.0, 5.0, 100.0)[scene.chance.pick(3)])
        if found is not None:
            scene.onlooker.results.setdefault(wire, set()).add(found)


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said | Act]:
    match chance.pick(6):
        case 0:
            yield Act(_result)
        case 1:
            yield Act(_cancel)
        case 2:
            yield from _started(chance, key, n)
            yield Act((_cancel, _cancel, _terminate, _result)[chance.pick(4)], (0.0, 0.01, 1.0, 15.0)[chance.pick(4)])
        case _:
            yield from _started(chance, key, n)


def _started(chance: Stream, key: str, n: int) -> Iterator[Said]:
    (house,) = _services(False)
    build: Any = next(handler for handler in house.handlers if handler.name == "build")
    yield Said(House(key, n, (0, 0, 1, 3)[chance.pick(4)]), starts=build.triggers[0])


def _check(file: StoredFile, onlooker: Onlooker) -> Iterator[tuple[str, str]]:
    for what in wrongly_answered(file):
        yield "answers", what
    told = {wire: data for wire, found in onlooker.results.items() for data in found}
    for what in (
        *badly_started(file),
        *orphans(file, onlooker.ended_s),
        *told_otherwise(file, told),
        *_results(file, onlooker),
    ):
        yield "workflows", what
    for wire, found in onlooker.results.items():
        if len(found) > 1:
            yield "workflows", f"{wire} had several results: {sorted(found)}"


def _results(file: StoredFile, onlooker: Onlooker) -> Iterator[str]:
    for n, answers in answers_of(file).items():
        if file.events[n].type != f"{START_PREFIX}house.build" or n in onlooker.poisoned:
            continue
        value, began = value_of(file.payloads[answers[0]]), file.payloads[n].decode(errors="replace")
        head = str(value).partition(":")[0]
        if value is not None and f'"n":{head},' not in began:
            yield f"{began} came to {value!r}"


def _seen(file: StoredFile) -> Iterator[str]:
    undone, ended = cancelled_seen(file)
    if undone:
        yield "a run was cancelled and undone"
    if ended:
        yield "a run was ended before it began, or at once"
    entries = [entry for journal in file.journals.values() for entry in journal]
    if any(isinstance(entry, Continued) for entry in entries):
        yield "a workflow began anew"
    if any(isinstance(entry, StateSet) for entry in entries):
        yield "a workflow showed where it is"
    children = {entry.child for entry in entries if isinstance(entry, Asked) and entry.child}
    if any(file.executions[child].status == 13 for child in children if child in file.executions):
        yield "a child was cancelled"
    if children and any(isinstance(entry, Answered) for entry in entries):
        yield "a child was done"


WORKFLOWS: Final = Play(
    "workflows",
    _services,
    _deeds,
    _check,
    (
        "a run was cancelled and undone",
        "a run was ended before it began, or at once",
        "a workflow began anew",
        "a workflow showed where it is",
        "a child was cancelled",
        "a child was done",
    ),
    _seen,
    effects={"house.floor": ["floor"], "house.build": ["build"]},
)

"""What can still happen, against an omniscient simulation of random choreographies."""

from collections.abc import Iterator
from random import Random  # noqa: TID251  # seeded
from typing import NamedTuple

import pytest

from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest
from onstage.observe.possible import Possible

RUNS = 20_000


def handler(name: str, *triggers: str, emits: tuple[str, ...] = (), **more: object) -> HandlerManifest:
    return HandlerManifest(name=f"s.{name}", service="s", triggers=triggers, emits=emits, **more)  # type: ignore[arg-type]


def possible(*handlers: HandlerManifest, **more: object) -> Possible:
    processes = (ProcessManifest(name="p", starts=("start",), done=("end",), **more),)  # type: ignore[arg-type]
    return Possible(AppManifest(handlers=handlers, processes=processes))


CHAIN = (
    handler("one", "start", emits=("b",)),
    handler("two", "b", emits=("c", "end")),
    handler("waiter", "start", waits=("c",), emits=("d",)),
    handler("pattern", "d", emits=("e",)),
    handler("outside", "signal", emits=("f",)),
)


def can(
    known: Possible,
    type: str,
    *handlers: str,
    declared: str | None = "p",
    root: str = "start",
    kept: tuple[str, ...] = (),
) -> bool:
    names = [f"s.{name}" for name in handlers]
    return known.can_still_happen(type, names, declared=declared, root=root, kept=kept)


def test_what_is_reached_from_something_open_can_happen() -> None:
    known = possible(*CHAIN)
    assert can(known, "c", "one", "waiter")
    assert can(known, "c", "two")
    assert not can(known, "c", "waiter")
    assert not can(known, "b", "two", "waiter")
    assert can(known, "e", "waiter"), "what the waiter may emit itself counts"


def test_what_nobody_makes_can_always_happen_and_what_follows_from_it() -> None:
    known = possible(*CHAIN)
    assert can(known, "signal")
    assert can(known, "f")
    assert can(known, "no such type")
    assert not can(known, "b"), "a second start begins a process of its own"
    assert can(possible(*CHAIN, one_per_key=True), "b"), "unless it joins the first"


def test_what_is_external_can_always_happen() -> None:
    assert can(possible(*CHAIN, external=("c",)), "c")
    assert can(possible(*CHAIN, external=("b",)), "c")
    assert can(possible(*CHAIN, external=("start",)), "b")


def test_the_event_of_a_deadline_can_happen() -> None:
    assert not can(possible(*CHAIN), "end")
    assert can(possible(*CHAIN, late=True), "end")
    assert not can(possible(*CHAIN, late=True), "end", declared=None)


def test_a_handler_that_is_not_known_may_do_anything() -> None:
    known = possible(*CHAIN)
    assert can(known, "c", "gone")


def test_a_delayed_event_is_still_to_come() -> None:
    known = possible(*CHAIN)
    assert can(known, "b", kept=("b",))
    assert can(known, "c", kept=("b",))
    assert not can(known, "b", kept=("d",))
    assert can(known, "b", kept=("unknown",))


def test_who_is_asked_may_emit() -> None:
    asking = (
        handler("asker", "start", asks=("get",), emits=("get",), waits=("onstage.answer/get",)),
        handler("answerer", "get", answers="get", emits=("b",)),
        handler("waiter", "start", waits=("b",)),
    )
    assert can(possible(*asking), "b", "asker", "waiter")
    assert not can(possible(*asking), "b", "waiter")


def test_patterns_and_undeclared_processes_are_walked_too() -> None:
    pattern = handler("audit", "b.>", pattern=True, emits=("c",), gating=True)
    known = possible(handler("one", "start", emits=("b.x",)), pattern, handler("waiter", "start", waits=("c",)))
    assert can(known, "c", "one")
    lone = Possible(AppManifest(handlers=(handler("one", "start", emits=("b",)),)))
    assert not can(lone, "b", declared=None)
    assert can(lone, "b", declared=None, root="other"), "a start may still be put into another process"


def test_only_what_handlers_alone_make_is_judged() -> None:
    known = possible(*CHAIN, external=("d",))
    assert [name for name in ("b", "c", "d", "signal", "start", "onstage.x") if known.is_judged(name)] == ["b", "c"]
    assert known.can_fail(CHAIN[2])
    assert not known.can_fail(handler("x", "start", waits=("d", "signal")))


# --- random choreographies --------------------------------------------------------------------------------


class World(NamedTuple):
    manifest: AppManifest
    root: str


class State(NamedTuple):
    """What is open and kept after a commit, and the event types that came with it."""

    handlers: list[str]
    kept: list[str]
    came: tuple[str, ...]


def world(random: Random) -> World:
    """A random choreography: up to eight types and handlers, cycles, joins, waits, requests, patterns, externals."""
    types = [f"t{number}" for number in range(random.randint(3, 8))]

    def some(most: int) -> tuple[str, ...]:
        return tuple(random.sample(types, random.randint(0, min(most, len(types)))))

    handlers = []
    for number in range(random.randint(2, 8)):
        asks = some(1) if random.random() < 0.2 else ()
        handlers.append(
            handler(
                f"h{number}",
                *(random.sample(types, random.randint(1, 2))),
                emits=tuple(dict.fromkeys((*some(2), *asks))),
                asks=asks,
                waits=some(2),
                gating=random.random() < 0.9,
            )
        )
    external = some(1) if random.random() < 0.3 else ()
    end = random.choice(types[1:])
    process = ProcessManifest(
        name="p",
        starts=("t0",),
        done=(end,),
        external=external,
        late=random.random() < 0.2,
        one_per_key=random.random() < 0.2,
    )
    return World(AppManifest(handlers=tuple(handlers), processes=(process,)), "t0")


def played(known: World, random: Random) -> Iterator[State]:
    """Play one process to its end; yields each state that a store would have."""
    manifest, (process,) = known.manifest, known.manifest.processes
    made = {name for each in manifest.handlers for name in each.emits}
    outside = [
        name
        for name in {t for each in manifest.handlers for t in (*each.triggers, *each.waits)}
        if name in process.external or (name not in made and name not in process.starts)
    ]
    outside += [*(process.starts if process.one_per_key else ()), *(process.done if process.late else ())]
    obligations: list[HandlerManifest] = []
    kept: list[str] = []

    def come(*names: str) -> State:
        for name in names:
            obligations.extend(each for each in manifest.handlers if each.gating and name in each.triggers)
        return State([each.name for each in obligations], list(kept), names)

    yield come(known.root)
    for _ in range(random.randint(5, 25)):
        if outside and random.random() < 0.05:
            yield come(random.choice(sorted(outside)))
        if kept and random.random() < 0.3:
            yield come(kept.pop(random.randrange(len(kept))))
        if not obligations:
            return
        acting = random.choice(obligations)
        if random.random() < 0.5:
            obligations.remove(acting)  # it ends, and emits something in that very commit
        said = [name for name in acting.emits if random.random() < 0.4]
        if said and random.random() < 0.2:
            kept.append(said.pop())
        yield come(*said)


def wrong_in(seed: int, runs: int, judge: type[Possible] = Possible) -> tuple[int, int]:
    """Of so many random runs, how many saw what was called impossible, and how often something was called so."""
    random, wrong, called = Random(seed), 0, 0
    for _ in range(runs):
        known = world(random)
        possible_here = judge(known.manifest)
        types = sorted({name for each in known.manifest.handlers for name in (*each.emits, *each.waits)})
        never: set[str] = set()
        for handlers, kept, came in played(known, random):
            if never.intersection(came):
                wrong += 1
                break
            never |= {
                name
                for name in types
                if not possible_here.can_still_happen(name, handlers, declared="p", root=known.root, kept=kept)
            }
        called += len(never)
    return wrong, called


@pytest.mark.timeout(300)
def test_nothing_that_is_called_impossible_ever_comes() -> None:
    wrong, called = wrong_in(7, RUNS)
    assert wrong == 0
    assert called > RUNS // 2, "little was called impossible: the check is too careful to be worth anything"


class Hasty(Possible):  # type: ignore[misc]  # final for users
    """Looks only at what open handlers emit themselves."""

    def _after(self, node: str) -> frozenset[str]:
        return frozenset(self._graph.after(node))


def test_a_judge_that_looks_one_step_ahead_is_found() -> None:
    assert wrong_in(7, 300, Hasty)[0] > 0

"""The plan: events from outside in the order of time, the same for the same tape."""

from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.testing.world.plan import BAD, MASSES, Emit, plan_of
from onstage.testing.world.repertoire import Blob
from onstage.testing.world.swarm import Swarm
from onstage.testing.world.tape import Tape


def emits(seed: int) -> list[Emit]:
    tape = Tape(seed)
    return [deed for _, deed in plan_of(tape, Swarm(tape)) if isinstance(deed, Emit)]


def test_a_plan_repeats_itself_and_goes_forward() -> None:
    tape = Tape(4)
    times = [at for at, _ in plan_of(tape, Swarm(tape))]
    assert times == sorted(times)
    assert [(e.id, e.event) for e in emits(4)] == [(e.id, e.event) for e in emits(4)]


def test_plans_hold_duplicates_other_payloads_and_the_limit() -> None:
    plans = [emits(seed) for seed in range(150)]
    payloads = [{e.id: set[bytes]() for e in plan} for plan in plans]
    for plan, found in zip(plans, payloads, strict=True):
        for emit in plan:
            found[emit.id].add(emit.data)
    assert any(len({e.id for e in plan}) < len(plan) for plan in plans)
    assert any(len(data) == 2 for found in payloads for data in found.values())
    sizes = {len(e.data) for plan in plans for e in plan if isinstance(e.event, Blob)}
    assert sizes == {EVENT_BYTES_MAX - 1, EVENT_BYTES_MAX, EVENT_BYTES_MAX + 1}
    assert all(e.is_bad == (len(e.data) > EVENT_BYTES_MAX) for plan in plans for e in plan if e.raw is None)


def test_the_empty_tape_has_the_least_plan() -> None:
    tape = Tape(1, {})
    assert len(plan_of(tape, Swarm(tape))) <= min(len(emits(seed)) for seed in range(20))


def test_some_payloads_are_empty_or_broken() -> None:
    raw = {emit.raw for seed in range(120) for emit in emits(seed) if emit.is_bad}
    assert raw >= set(BAD)


def test_hundreds_of_timers_are_due_at_once_in_a_rare_world() -> None:
    sizes = [len(emits(seed)) for seed in range(900)]
    assert 0 < sum(size > MASSES for size in sizes) < 30

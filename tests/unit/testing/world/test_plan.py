"""The plan: events from outside in the order of time, the same for the same tape."""

from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.testing.world.plan import Emit, plan_of
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
    plans = [emits(seed) for seed in range(60)]
    payloads = [{e.id: set[bytes]() for e in plan} for plan in plans]
    for plan, found in zip(plans, payloads, strict=True):
        for emit in plan:
            found[emit.id].add(emit.data)
    assert any(len({e.id for e in plan}) < len(plan) for plan in plans)
    assert any(len(data) == 2 for found in payloads for data in found.values())
    sizes = {len(e.data) for plan in plans for e in plan if isinstance(e.event, Blob)}
    assert sizes == {EVENT_BYTES_MAX - 1, EVENT_BYTES_MAX, EVENT_BYTES_MAX + 1}
    assert all(e.is_too_large == (len(e.data) > EVENT_BYTES_MAX) for plan in plans for e in plan)


def test_the_empty_tape_has_the_least_plan() -> None:
    tape = Tape(1, {})
    assert len(plan_of(tape, Swarm(tape))) <= min(len(emits(seed)) for seed in range(20))

"""Processes with milestones and deadlines: late is told, decided and lifted, whatever dies on the way."""

from dataclasses import dataclass

from tests.scenario.played_scene import scene
from tests.scenario.watched_scenes import (
    AlertSent,
    Approved,
    OrderCancelled,
    OrderNoted,
    OrderPlaced,
    alarm,
    alerts,
    charge,
    order,
    payment,
    shipping,
    shop,
    silent,
)

from onstage import App, Request, Service, ask, emit, event, sleep, wait
from onstage.observe.progress import Progress, decode_progress
from onstage.testing import Sim

WAITING = OrderPlaced("o1", "needs approval")


@scene
async def test_what_comes_in_time_is_completed_and_told_once() -> None:
    async with Sim(shop) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        assert [(e.kind, e.number) for e in sim.emitted(AlertSent)] == [("ProcessCompleted", 1)]
        await sim.advance("3h")
        assert len(sim.emitted(AlertSent)) == 1
        assert sim.outcome("o1") == "OrderShipped"


@scene
async def test_a_late_milestone_is_stuck_within_a_second_and_says_whose_it_is() -> None:
    async with Sim(silent) as sim:
        await sim.emit(WAITING)
        await sim.advance(3599)
        assert sim.verdict("o1").status == "waiting"
        await sim.advance(2)
        verdict = sim.verdict("o1")
        assert verdict.status == "stuck"
        assert "order-paid is overdue since" in verdict.reasons[0]
        assert "owed by payment" in verdict.reasons[0]
        assert verdict.reasons[1].startswith("payment.take waits for approved")


@scene
async def test_it_is_not_stuck_any_more_when_it_comes() -> None:
    async with Sim(shop) as sim:
        await sim.emit(WAITING)
        await sim.advance("61m")
        assert sim.verdict("o1").status == "stuck"
        await sim.emit(Approved("o1"))
        await sim.settle()
        assert str(sim.verdict("o1")) == "completed (order-shipped)"
        assert [e.kind for e in sim.emitted(AlertSent)] == ["ProcessOverdue", "ProcessCompleted"]


@scene
async def test_a_milestone_is_late_although_its_service_is_down() -> None:
    async with Sim(silent) as sim:
        await sim.pause("payment")
        await sim.emit(OrderPlaced("o1"))
        await sim.advance(3601)
        verdict = sim.verdict("o1")
        assert verdict.status == "stuck"
        assert "owed by payment" in verdict.reasons[0]


@scene
async def test_the_deadline_emits_its_event_once() -> None:
    async with Sim(shop) as sim:
        await sim.emit(WAITING)
        await sim.advance("2h")
        assert sim.emitted(OrderCancelled) == [OrderCancelled("o1")]
        assert sim.outcome("o1") == "OrderCancelled"
        await sim.restart()
        await sim.advance("2d")
        assert len(sim.emitted(OrderCancelled)) == 1


@scene
async def test_an_outcome_spares_the_deadline() -> None:
    async with Sim(silent) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.advance("3h")
        assert sim.emitted(OrderCancelled) == []


async def deadline_story(sim: Sim) -> None:
    """Late, cancelled by its deadline, and nothing of it twice."""
    await sim.emit(WAITING)
    await sim.advance("3h")
    told = [(e.kind, e.number) for e in sim.emitted(AlertSent)]
    assert sim.emitted(OrderCancelled) == [OrderCancelled("o1")]
    assert told == [("ProcessOverdue", 1)]
    await sim.emit(Approved("o1"))
    await sim.settle()
    assert sim.outcome("o1") == "OrderCancelled"
    assert [(e.kind, e.number) for e in sim.emitted(AlertSent)] == [("ProcessOverdue", 1), ("ProcessCompleted", 2)]


@scene
async def test_a_crash_at_any_commit_changes_nothing_of_what_is_told() -> None:
    assert await Sim(shop).every_crash(deadline_story) > 20


async def dead_end_story(sim: Sim) -> None:
    """A dead end is told, and ended by the deadline."""
    await sim.emit(OrderPlaced("o1", "ends dead"))
    await sim.settle()
    assert sim.verdict("o1").status == "dead end"
    assert [e.kind for e in sim.emitted(AlertSent)] == ["ProcessDeadEnd"]
    await sim.advance("2h")
    assert sim.outcome("o1") == "OrderCancelled"
    kinds = ["ProcessDeadEnd", "ProcessOverdue", "ProcessReopened", "ProcessCompleted"]
    assert [(e.kind, e.number) for e in sim.emitted(AlertSent)] == [(kind, n) for n, kind in enumerate(kinds, 1)]


@scene
async def test_a_process_whose_last_event_has_no_handler_is_a_dead_end_within_a_second() -> None:
    desk = Service("desk")

    @desk.on(OrderPlaced)
    async def note(e: OrderPlaced) -> OrderNoted:
        await sleep("10s")
        return OrderNoted(e.order_id)

    async with Sim(App(desk, shipping, alerts, order)) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.advance(9.9)
        assert sim.verdict("o1").status == "waiting"
        await sim.advance(1)
        assert sim.verdict("o1").reasons == ("order-noted: no handler",)
        assert [e.kind for e in sim.emitted(AlertSent)] == ["ProcessDeadEnd"]


@scene
async def test_a_dead_end_is_told_and_its_deadline_ends_it() -> None:
    assert await Sim(shop).every_crash(dead_end_story) > 10


async def stuck_story(sim: Sim) -> None:
    """A dead letter is told, and again if it becomes one again."""
    sim.fail(charge, ValueError("no"), times=2_000)
    await sim.emit(OrderPlaced("o1"))
    await sim.settle()
    assert sim.verdict("o1").status == "stuck"
    (told,) = sim.emitted(AlertSent)
    assert (told.kind, told.number) == ("ProcessStuck", 1)
    assert "payment.take is a dead letter" in told.reason
    await sim.operate("retry", "o1")
    await sim.settle()
    assert [(e.kind, e.number) for e in sim.emitted(AlertSent)] == [("ProcessStuck", 1), ("ProcessStuck", 2)]


@scene
async def test_a_dead_letter_is_told_each_time() -> None:
    async with Sim(shop) as sim:
        await stuck_story(sim)


@scene
async def test_whoever_fails_at_being_told_is_not_told_of_that() -> None:
    async with Sim(shop) as sim:
        sim.fail(alarm, ValueError("mute"), times=100_000)
        sim.fail(charge, ValueError("no"), times=100_000)
        await sim.emit(OrderPlaced("o1"))
        await sim.advance("10m")
        changes = sim.read(lambda reader: reader.events(type="onstage.process.stuck"))
        assert len(changes) == 1


@scene
async def test_nothing_runs_where_nothing_is_declared() -> None:
    async with Sim(App(payment)) as sim:
        assert sim.world.node.monitor is None
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        assert sim.read(lambda reader: reader.notes("monitor")) == []


@scene
async def test_changes_are_stored_only_for_those_who_hear_them() -> None:
    async with Sim(silent) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        types = {event.type for event in sim.read(lambda reader: reader.events())}
        assert types == {"order-placed", "order-paid", "order-shipped"}


async def row_of_a_long_wait(*, kills: bool) -> Progress:
    """What the monitor has written in the end of a process that was late and came to its end."""
    async with Sim(shop) as sim:
        await sim.emit(WAITING)
        for _ in range(6):
            await sim.advance("13m")
            if kills:
                await sim.restart()
        await sim.emit(Approved("o1"))
        await sim.settle()
        (found,) = sim.read(lambda reader: reader.progress([1]))
        return decode_progress(found.body)


@scene
async def test_the_row_is_the_same_however_often_the_node_was_killed() -> None:
    undisturbed = await row_of_a_long_wait(kills=False)
    assert undisturbed.count == 2
    assert await row_of_a_long_wait(kills=True) == undisturbed


@scene
async def test_a_race_at_the_deadline_has_one_winner() -> None:
    """The outcome and the event of the deadline at the same instant: the store lets the first of them in."""
    for early_ms in range(-3, 4):
        async with Sim(silent) as sim:
            await sim.emit(WAITING)
            await sim.advance(7200 + early_ms / 1000)
            await sim.emit(Approved("o1"))
            await sim.advance("1h")
            outcome = sim.outcome("o1")
            assert outcome in ("OrderShipped", "OrderCancelled")
            assert bool(sim.emitted(OrderCancelled)) == (outcome == "OrderCancelled")
            assert len(sim.emitted(OrderCancelled)) <= 1


@event("lane-asked", key="key")
@dataclass(frozen=True)
class LaneAsked(Request[str]):
    key: str


@event("lane-checked", key="key")
@dataclass(frozen=True)
class LaneChecked:
    key: str


@event("lane-passed", key="key")
@dataclass(frozen=True)
class LanePassed:
    key: str


lanes, clerks = Service("lanes"), Service("clerks")


@lanes.on(OrderPlaced, LaneChecked)
async def one_by_one(e: OrderPlaced | LaneChecked) -> LanePassed | None:
    if isinstance(e, LaneChecked):
        return LanePassed(e.key)
    await ask(LaneAsked(e.order_id), timeout="1h")
    return None


@clerks.answers(emits=[LaneChecked])
async def check(e: LaneAsked) -> str:
    await emit(LaneChecked(e.key))
    await wait(LanePassed)
    return "passed"


@scene
async def test_whoever_waits_for_what_queues_behind_it_is_stuck_in_a_lane_cycle() -> None:
    async with Sim(App(lanes, clerks)) as sim:
        await sim.emit(OrderPlaced("o1"))
        await sim.settle()
        verdict = sim.verdict("o1")
        assert verdict.status == "stuck"
        (reason,) = verdict.reasons
        assert reason.startswith("lanes.one_by_one is ready behind an execution that it comes from")
        assert "a lane cycle" in reason

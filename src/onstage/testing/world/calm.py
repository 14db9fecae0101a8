"""The second phase: faults have stopped, and within a bound of virtual time everything has to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onstage.core.commit import event_of
from onstage.events.receipt import OPEN_MAX, Status
from onstage.testing.checks.no_loss import unheard
from onstage.testing.checks.timer_ends import overdue

if TYPE_CHECKING:
    from onstage.testing.world.world_run import World

__all__ = ["REST_S_MAX", "ROUNDS_MAX", "calm_down"]

FORKED: Final = "select 1 from onstage_note where topic = 'forked' and number = ?"
LOOK_S: Final = 2.0
LOOK_S_MAX: Final = 240.0
LATE_S: Final = 70.0
"""A timer that is later than this was forgotten: a node looks again after 60 s, since its clock may have been wrong."""

REST_S_MAX: Final = 3 * 3600.0
"""So long at most a world takes to come to rest: a clock that was wrong by an hour is part of it."""

ROUNDS_MAX: Final = 25
"""So often at most an operator has to retry what was set aside."""


def calm_down(world: World) -> None:
    """Run until nothing is open, with the help of an operator and of the code that a journal fits to."""
    world.grow_calm()
    calm_s = world.life.loop.time()
    give_up_s = calm_s + REST_S_MAX
    versions, look_s, rounds = [3, 1, 2, 1, 3, 1], LOOK_S, 0
    if world.version == 3 or world.changes:
        world.today = True
        world.change_code(1)
    world.end_plays()
    while world.life.loop.time() <= give_up_s and rounds <= ROUNDS_MAX:
        world.run_to(world.life.loop.time() + look_s)
        look_s = min(2 * look_s, LOOK_S_MAX)
        aside = world.look_aside()
        _look_for_the_forgotten(world, world.life.loop.time() - calm_s)
        if not _is_at_rest(world, aside):
            continue
        if not aside:
            return
        look_s, rounds = LOOK_S, rounds + 1
        if versions and any(_is_diverged(world, execution) for execution in aside):
            world.change_code(versions.pop(0))
        for execution in world.look_aside():
            events = set(map(event_of, world.stored.batch_of(execution)))
            forked = world.onlooker.rows(FORKED, execution)  # the rest of it is for its fork to do
            action = "drop" if forked or events & world.onlooker.poisoned else "retry"
            world.call(lambda: world.operate(action, execution))  # noqa: B023  it runs at once
    _complain(world)


def _is_diverged(world: World, execution: int) -> bool:
    return bool(world.onlooker.rows("select 1 from onstage_execution where id = ? and status = 5", execution))


def _is_at_rest(world: World, aside: list[int]) -> bool:
    """Whether all that is open was set aside, or stands behind something that was, or waits for what it answers."""
    node = world.life.node
    if not world.clients.are_done or node.store.undurable or node.dispatcher.busy:
        return False
    if node.monitor is not None and node.monitor.is_behind:
        return False
    active = "select status, due from onstage_execution where status <= ? and status not in (4, 5)"
    behind = (Status.READY, Status.WAITING)
    rows = world.onlooker.rows(active, OPEN_MAX)
    return all(status in behind and (due is None or status == Status.READY) and aside for status, due in rows)


def _look_for_the_forgotten(world: World, calm_for_s: float) -> None:
    """Without faults whoever has mail takes it, and what is due begins, within a look."""
    node = world.life.node
    if world.onlooker.violations or node.dispatcher.busy or node.store.undurable:
        return  # something is on its way, perhaps through a commit that takes long
    rows = world.onlooker.rows
    for what in unheard(rows):
        world.onlooker.complain("I1", what)
    if calm_for_s > LATE_S:
        for what in overdue(rows, world.clock.now_ms(), round(LATE_S * 1000)):
            world.onlooker.complain("I8", what)


def _complain(world: World) -> None:
    statement = (
        "select x.id, h.name, x.status, x.due, x.error from onstage_execution x"
        " join onstage_handler h on h.id = x.id & 65535 where x.status <= ? limit 3"
    )
    left = world.onlooker.rows(statement, OPEN_MAX)
    waiting = [emit.id for emit in world.clients.emits if not emit.is_over]
    world.onlooker.complain("liveness", f"after {REST_S_MAX:g} s of calm, or {ROUNDS_MAX} retries: {left} {waiting}")

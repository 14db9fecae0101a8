"""What an observer finds, in virtual time: within a second, and that a service is away within half a minute."""

from pathlib import Path
from typing import Any

from tests.unit.testing.tour.rested import rested

from onstage.runtime.presence import AWAY_S, LOOK_S
from onstage.testing.tour.repertory import OBSERVER, Booked
from onstage.testing.tour.senders import Send
from onstage.testing.tour.tour_world import TourWorld

SECOND_MS = 1_000
IN_VAIN = 2  # with this number, an order's process has somebody who waits in vain


def verdict(world: TourWorld, process: str) -> str:
    """What the observer says at this moment."""
    member = world.members[OBSERVER]
    assert member.observatory is not None
    task = member.loop.create_task(member.observatory.verdict(process, 0.0))
    world.run_to(world.now_s)
    return str(task.result())


def sent(world: TourWorld, number: int) -> str:
    """Send an order; the public id of its process."""
    send = Send(Booked("z", number), f"late-{number}", "shop", [])
    world.senders.sends.append(send)
    world.run_to(world.now_s + 1)
    (told,) = send.told
    return told


def test_a_service_that_is_away_is_named_within_half_a_minute_and_not_at_once(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        world.end_life("bank", 120.0)
        process = sent(world, 0)
        world.run_to(world.now_s + AWAY_S - 2)
        assert "no live node" not in verdict(world, process)
        world.run_to(world.now_s + LOOK_S + 2)
        said = verdict(world, process)
        assert said.startswith("stuck")
        assert "bank.weigh: no live node has this handler" in said
        assert "shop.order: no live node" not in said
        world.run_to(world.now_s + 120)
        assert verdict(world, process) == "completed (tour.shipped)"


def test_a_wait_in_vain_ends_and_an_end_is_told_within_a_second(tmp_path: Path) -> None:
    with rested(tmp_path) as world:
        process = sent(world, IN_VAIN)
        world.run_to(world.now_s + 5)
        assert verdict(world, process) == "completed (tour.shipped)"

        def rows(sql: str, *bindings: Any) -> list[tuple[Any, ...]]:
            return world.rows(OBSERVER, sql, *bindings)

        ((number, ended),) = rows("select id, ended from onstage_process where wire_id = ?", process)
        ends = dict(
            rows(
                "select h.name, max(x.ended) from onstage_execution x join onstage_handler h on h.id = x.id & 65535"
                " where x.process = ? and x.gating group by 1",
                number,
            )
        )
        in_vain = ends.pop("audit.hope")
        assert 0 <= in_vain - max(ends.values()) <= SECOND_MS
        ((told,),) = rows(
            "select e.hlc >> 16 from onstage_event e join onstage_type t on t.id = e.type"
            " where t.name = 'onstage.process.completed' and instr(e.data, ?)",
            process.encode(),
        )
        assert 0 <= told - ended <= SECOND_MS

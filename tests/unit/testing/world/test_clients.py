"""Clients send again until they are answered."""

from pathlib import Path

from onstage.runtime import admission
from onstage.testing.checks.acknowledgements import identity_of
from onstage.testing.world.kept_file import KeptFile
from onstage.testing.world.playing import play, run
from onstage.testing.world.swarm import Fault
from onstage.testing.world.world_run import World


def test_the_identity_is_the_one_at_the_door() -> None:
    assert identity_of("client-3") == admission.door_of(admission.OWN_SOURCE, "client-3", "t", b"").identity


def test_every_client_has_its_answer_in_the_end(tmp_path: Path) -> None:
    seen = set[str]()
    for seed in range(8):
        kept = KeptFile(tmp_path / f"{seed}.db")
        world = World(seed, tmp_path / str(seed), kept)
        assert run(world).violations == []
        kept.close()
        assert world.clients.are_done
        seen |= {emit.refused or "accepted" for emit in world.clients.emits}
    assert {"accepted", "duplicate"} <= seen


def test_lost_answers_and_dead_nodes_are_survived() -> None:
    results = [play(seed) for seed in range(12)]
    assert sum(result.faults[Fault.LOST_ANSWER] for result in results) > 5
    assert any("a client's answer was lost with the node" in result.marks for result in results)


def test_clients_that_have_gone_leave_work_that_ends_without_them() -> None:
    results = [play(seed) for seed in range(60)]
    assert any(result.faults[Fault.CLIENTS_GONE] for result in results)
    assert [what for result in results for what in result.violations] == []

"""Clients send again until they are answered."""

from onstage.runtime import admission
from onstage.testing.world.clients import identity_of
from onstage.testing.world.swarm import Fault
from onstage.testing.world.world_run import World, play


def test_the_identity_is_the_one_at_the_door() -> None:
    assert identity_of("client-3") == admission._door(admission.OWN_SOURCE, "client-3", "t", b"").identity  # noqa: SLF001


def test_every_client_has_its_answer_in_the_end(tmp_path_factory: object) -> None:
    seen = set[str]()
    for seed in range(8):
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            from pathlib import Path

            world = World(seed, Path(folder))
            assert world.run().violations == []
        assert world.clients.are_done
        seen |= {emit.refused or "accepted" for emit in world.clients.emits}
    assert {"accepted", "duplicate"} <= seen


def test_lost_answers_and_dead_nodes_are_survived() -> None:
    results = [play(seed) for seed in range(12)]
    assert sum(result.faults[Fault.LOST_ANSWER] for result in results) > 5
    assert any("a client's answer was lost with the node" in result.marks for result in results)

"""The disk of a world."""

from pathlib import Path

from onstage.stores.sqlite import connection as files
from onstage.testing.world.kept_file import IN_ONE_PROCESS, KeptFile
from onstage.testing.world.playing import play
from onstage.testing.world.power import Power
from onstage.testing.world.swarm import Fault, Swarm
from onstage.testing.world.tape import Tape


def powered() -> list[int]:
    return [seed for seed in range(200) if Swarm(Tape(seed)).has_power_faults]


def test_a_plain_disk_needs_no_syncs(tmp_path: Path) -> None:
    seed = next(seed for seed in range(50) if seed not in powered())
    kept = KeptFile(tmp_path / "kept.db")
    power = Power(tmp_path / "world", Swarm(Tape(seed)), seed, kept)
    assert (power.vfs_name, power.looking_through, power.synchronous) == (IN_ONE_PROCESS, IN_ONE_PROCESS, "OFF")
    assert (power.path, power.opener) == (kept.path, kept)
    power.close()
    kept.close()


def test_a_disk_that_can_lose_power_is_no_kept_file(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "kept.db")
    power = Power(tmp_path / "world", Swarm(Tape(powered()[0])), powered()[0], kept)
    assert power.synchronous == "FULL"
    assert power.opener is files
    assert power.path.parent == tmp_path / "world"
    power.close()
    kept.close()


def test_one_world_in_twenty_has_a_disk_that_loses_power() -> None:
    assert 4 <= len(powered()) <= 20


def test_worlds_survive_power_cuts() -> None:
    seed, cuts = None, 0
    for seed in powered()[:6]:
        result = play(seed)
        assert result.violations == []
        cuts += result.faults[Fault.POWER_CUT] + result.faults[Fault.SYNC_ERROR]
    assert cuts > 0

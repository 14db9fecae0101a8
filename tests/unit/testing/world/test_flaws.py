"""The flawed machine: work stays in order however late it comes, and commits fail before or after the deed."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from onstage.testing.virtual_clock import VirtualClock
from onstage.testing.virtual_loop import VirtualLoop
from onstage.testing.world.flaws import FlawedClock, FlawedConnection, FlawedWorkers
from onstage.testing.world.swarm import Fault, Swarm
from onstage.testing.world.tape import Tape


def swarm_with(*faults: Fault) -> Swarm:
    swarm = Swarm(Tape(1, {fault.value: [1, 0] * 50 for fault in faults}))
    swarm.rate = lambda fault: 1.0 if fault in faults else 0.0  # type: ignore[method-assign]
    swarm._rates = {fault: 1.0 if fault in faults else 0.0 for fault in Fault}  # noqa: SLF001
    return swarm


def test_work_and_reports_stay_in_order() -> None:
    loop, seen = VirtualLoop(), list[str]()

    async def main() -> None:
        workers = FlawedWorkers(swarm_with(Fault.SLOW_COMMIT), Tape(1).stream("order"))
        for n in range(20):
            workers.submit(lambda n=n: seen.append(f"work {n}"))  # type: ignore[misc]
            workers.post(lambda n=n: seen.append(f"report {n}"))  # type: ignore[misc]

    loop.run_until_complete(main())
    loop.run_to(100)
    for kind in ("work", "report"):
        assert [what for what in seen if what.startswith(kind)] == [f"{kind} {n}" for n in range(20)]
    loop.close()


@pytest.mark.parametrize(
    ("fault", "rows"), [(Fault.ERROR_BEFORE_COMMIT, 0), (Fault.ERROR_AFTER_COMMIT, 1), (Fault.DISK_FULL, 0)]
)
def test_a_commit_fails_before_or_after_the_deed(fault: Fault, rows: int, tmp_path: Path) -> None:
    real = apsw.Connection(str(tmp_path / "x.db"))
    real.execute("create table t (n)")
    zero: Callable[[], float] = lambda: 0.0  # noqa: E731
    connection = FlawedConnection(real, swarm_with(fault), zero)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("insert into t values (1)")
    with pytest.raises(apsw.Error):
        connection.execute("COMMIT -- engine")
    if real.in_transaction:
        real.execute("ROLLBACK")
    assert real.execute("select count(*) from t").fetchone() == (rows,)
    real.close()


def test_a_clock_can_be_wrong_and_be_set_right() -> None:
    plain = VirtualClock(1, lambda: 5.0)
    clock = FlawedClock(plain)
    clock.wrong_ms = -300_000
    assert clock.now_ms() == plain.now_ms() - 300_000
    clock.wrong_ms = 0
    assert clock.now_ms() == plain.now_ms()

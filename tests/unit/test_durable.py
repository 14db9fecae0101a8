"""`onstage.durable` re-exports, and nothing else."""

from onstage import durable
from onstage.runtime import long_step, scope


def test_it_only_hands_on_what_its_modules_define() -> None:
    assert durable.scope is scope.scope
    assert durable.shield is scope.shield
    assert durable.heartbeat is long_step.heartbeat
    assert all(hasattr(durable, name) for name in durable.__all__)

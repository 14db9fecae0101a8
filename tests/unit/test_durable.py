"""`onstage.durable` re-exports, and nothing else."""

import pytest

from onstage import durable
from onstage.errors import NotInExecution
from onstage.runtime import continuing, long_step, scope


def test_it_only_hands_on_what_its_modules_define() -> None:
    assert durable.scope is scope.scope
    assert durable.shield is scope.shield
    assert durable.heartbeat is long_step.heartbeat
    assert durable.continue_as_new is continuing.continue_as_new
    assert all(hasattr(durable, name) for name in durable.__all__)
    with pytest.raises(NotInExecution, match="outside a workflow"):
        durable.continue_as_new(1)

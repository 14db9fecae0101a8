"""`onstage.durable`: what it gives is what the runtime has."""

import pytest

from onstage import durable
from onstage.errors import NotInExecution
from onstage.runtime.continuing import continue_as_new


def test_it_gives_durable_calls_beyond_the_root() -> None:
    assert durable.continue_as_new is continue_as_new
    assert "continue_as_new" in durable.__all__
    with pytest.raises(NotInExecution, match="outside a workflow"):
        durable.continue_as_new(1)

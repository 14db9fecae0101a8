"""`onstage.durable` re-exports, and nothing else."""

import onstage.durable
from onstage.runtime import long_step


def test_it_names_what_it_re_exports() -> None:
    assert onstage.durable.heartbeat is long_step.heartbeat
    assert all(hasattr(onstage.durable, name) for name in onstage.durable.__all__)

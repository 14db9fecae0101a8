"""Settings that bring many checkpoints and many batches into a short play."""

import pytest
from tests.faults import theatre
from tests.scenario.sim_checks import watch_steps

from onstage.runtime import dispatcher
from onstage.stores.sqlite import writer


@pytest.fixture(autouse=True)
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A batch for each hop, a checkpoint every few pages; steps that ran although their result was durable."""
    monkeypatch.setattr(dispatcher, "TURN_DELIVERIES_MAX", 1)
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", theatre.CHECKPOINT_PAGES)
    return watch_steps(monkeypatch)

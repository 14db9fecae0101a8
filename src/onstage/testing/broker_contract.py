"""The contract of every broker as tests: subclass `BrokerContract`, say how to connect, run it with pytest.

class TestMyBroker(BrokerContract):
    def connect(self, namespace): return MyBroker(...)
    async def leave(self, namespace): ...
    async def come_back(self, namespace): ...
    async def forget(self, namespace, cursor): ...
    async def drop(self, namespace, seq): ...

What is asked depends on the broker's `features` (`Features` of `onstage.ports.broker`).
"""

from __future__ import annotations

from onstage.ports.broker import Features
from onstage.testing.broker_cursors import BrokerCursors
from onstage.testing.broker_log import BrokerLog
from onstage.testing.broker_service import BrokerService

__all__ = ["BrokerContract", "Features"]


class BrokerContract(BrokerLog, BrokerCursors, BrokerService):
    """All that a broker promises, as far as its `features` go."""

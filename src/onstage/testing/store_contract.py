"""The contract of every store as tests: subclass `StoreContract`, say how to make a store, run it with pytest.

class TestMyStore(StoreContract):
    def make_store(self): return MyStore(...)
    def reopen(self, store): return MyStore(... on the same data)

What is asked depends on the store's `features` (`Features` of `onstage.ports.store`): without `transactions` a user's
function has to be refused with a reason, without `survives_restart` the class may leave `reopen` out.
"""

from __future__ import annotations

from onstage.ports.store import Features
from onstage.testing.store_members import StoreMembers
from onstage.testing.store_parts import StoreParts
from onstage.testing.store_progress import StoreProgress
from onstage.testing.store_reading import StoreReading
from onstage.testing.store_transactions import StoreTransactions
from onstage.testing.store_trial import CrashableStore
from onstage.testing.store_writing import StoreWriting

__all__ = ["CrashableStore", "Features", "StoreContract"]


class StoreContract(StoreWriting, StoreMembers, StoreReading, StoreTransactions, StoreParts, StoreProgress):
    """All that a store promises, as far as its `features` go."""

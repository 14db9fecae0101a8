"""The contract of every store as tests: subclass `StoreContract`, say how to make a store, run it with pytest.

class TestMyStore(StoreContract):
    def make_store(self): return MyStore(...)
    def reopen(self, store): return MyStore(... on the same data)
"""

from __future__ import annotations

from onstage.testing.store_reading import StoreReading
from onstage.testing.store_transactions import StoreTransactions
from onstage.testing.store_writing import StoreWriting

__all__ = ["StoreContract"]


class StoreContract(StoreWriting, StoreReading, StoreTransactions):
    """All that a store promises. A class attribute decides nothing; `store.features` says what is asked of it."""

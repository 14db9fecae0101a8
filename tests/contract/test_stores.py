"""Every store under the one contract."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.register_assert_rewrite("onstage.testing.store_writing", "onstage.testing.store_reading")
pytest.register_assert_rewrite(
    "onstage.testing.store_transactions", "onstage.testing.store_trial", "onstage.testing.store_progress"
)

from onstage.core.commit import execution_id  # noqa: E402
from onstage.events.receipt import Status  # noqa: E402
from onstage.ports.clock import SystemClock  # noqa: E402
from onstage.runtime.workers import ThreadWorkers  # noqa: E402
from onstage.stores.memory import MemoryStore  # noqa: E402
from onstage.stores.sealed_store import SealedStore  # noqa: E402
from onstage.stores.sqlite.store import SqliteStore  # noqa: E402
from onstage.testing.inline_workers import InlineWorkers  # noqa: E402
from onstage.testing.store_contract import StoreContract  # noqa: E402
from onstage.testing.store_trial import CrashableStore, Trial, played  # noqa: E402


class TestMemoryStore(StoreContract):
    def make_store(self) -> MemoryStore:
        return MemoryStore(clock=SystemClock(), workers=InlineWorkers())

    def reopen(self, store: CrashableStore) -> CrashableStore:
        return store


class TestSqliteStoreOnThreads(StoreContract):
    workers: type[ThreadWorkers | InlineWorkers] = ThreadWorkers

    def make_store(self) -> SqliteStore:
        self.folder = TemporaryDirectory()
        self.running = self.workers()
        return self._open(Path(self.folder.name) / "store.db")

    def reopen(self, store: CrashableStore) -> SqliteStore:
        assert isinstance(store, SqliteStore)
        return self._open(store.path)

    def _open(self, path: Path) -> SqliteStore:
        return SqliteStore(path, clock=SystemClock(), workers=self.running, lock_wait_s=0)

    async def tidy_up(self) -> None:
        await self.running.close()
        self.folder.cleanup()


class Reversed:
    """A codec that anybody could write and nobody should: it binds a payload to its place, and hides nothing."""

    key_id = "backwards"

    def encrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        return (data + associated)[::-1]

    def decrypt(self, key_id: str, data: bytes, associated: bytes) -> bytes:
        opened = data[::-1]
        if not opened.endswith(associated):
            raise ValueError(associated)
        return opened[: len(opened) - len(associated)]


class TestSealedStore(StoreContract):
    """What wraps a store is a store."""

    def make_store(self) -> SealedStore:
        return SealedStore(MemoryStore(clock=SystemClock(), workers=InlineWorkers()), Reversed())

    def reopen(self, store: CrashableStore) -> CrashableStore:
        return store

    @played
    async def test_a_lane_may_be_a_field_of_the_payload_and_a_payload_may_be_anything(self, trial: Trial) -> None:
        """A sealed payload shows no field: what is ahead by such a lane is not found."""
        roots = [trial.script.root("shop.bill", key="same") for _ in range(2)]
        for root in roots:
            root.events[0].data = b'{"to":"y"}'
        await trial.put(*roots, trial.script.step(roots[0], "shop.bill", status=int(Status.PARKED)))
        last = execution_id(roots[1].process, trial.opened.handlers["shop.bill"])
        assert await trial.store.reader.ahead(last, statuses=(Status.PARKED,), field="to") is None
        assert await trial.store.reader.ahead(last, statuses=(Status.PARKED,)) is not None


class TestSqliteStoreInline(TestSqliteStoreOnThreads):
    workers = InlineWorkers


class TestSqliteStoreOffloading(TestSqliteStoreOnThreads):
    """Every payload that is not empty is kept apart from its row."""

    workers = InlineWorkers

    def _open(self, path: Path) -> SqliteStore:
        return SqliteStore(path, clock=SystemClock(), workers=self.running, lock_wait_s=0, offload_above=0)


class TestSealedStoreOffloading(TestSqliteStoreOffloading):
    """Payloads are sealed, then offloaded."""

    def make_store(self) -> CrashableStore:  # type: ignore[override]
        return SealedStore(super().make_store(), Reversed())

    def reopen(self, store: CrashableStore) -> CrashableStore:  # type: ignore[override]
        return SealedStore(self._open(Path(self.folder.name) / "store.db"), Reversed())

    test_a_lane_may_be_a_field_of_the_payload_and_a_payload_may_be_anything = (
        TestSealedStore.test_a_lane_may_be_a_field_of_the_payload_and_a_payload_may_be_anything
    )

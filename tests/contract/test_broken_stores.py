"""The contract is no formality: stores that break a promise fail it, at the test that says so."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from onstage.ports.clock import SystemClock
from onstage.ports.store import Declaration, Opened
from onstage.stores.memory import MemoryStore
from onstage.testing.inline_workers import InlineWorkers
from onstage.testing.store_contract import CrashableStore, Features, StoreContract


class Contract(StoreContract):
    """Of a memory store that is changed first."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        self.change = change

    def make_store(self) -> MemoryStore:
        store = MemoryStore(clock=SystemClock(), workers=InlineWorkers())
        self.change(store)
        return store

    def reopen(self, store: CrashableStore) -> CrashableStore:
        return store


class ContractOfAForgetfulStore(StoreContract):
    """Nobody says how to open its data again."""

    make_store = Contract.make_store

    def __init__(self, change: Callable[[Any], None]) -> None:
        self.change = change


def failing(contract: StoreContract) -> set[str]:
    """The names of the tests that this store fails."""
    failed = set[str]()
    for name in (name for name in dir(contract) if name.startswith("test_")):
        try:
            getattr(contract, name)()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001  a store may fail in any way
            failed.add(name)
    return failed


def sound(store: Any) -> None:
    pass


def tells_too_early(store: Any) -> None:
    async def durable(position: int) -> None:
        return None

    plain = store.open

    async def opening(declaration: Declaration) -> Opened:
        opened: Opened = await plain(declaration)
        store.durable = durable
        return opened

    store.open = opening


def loses_what_was_appended(store: Any) -> None:
    async def close() -> None:
        store.abandon("the store was closed")

    store.close = close


def hands_out_numbers_again(store: Any) -> None:
    plain = store.open

    async def opening(declaration: Declaration) -> Opened:
        return msgspec.structs.replace(await plain(declaration), next_n=1)

    store.open = opening


def fells_nobody(store: Any) -> None:
    plain = store._write  # noqa: SLF001

    def write(commits: list[Any]) -> Any:
        for commit in commits:
            commit.after = ()
        return plain(commits)

    store._write = write  # noqa: SLF001


BROKEN = {
    tells_too_early: "test_a_refusal_is_answered_again_to_those_who_ask_late",
    loses_what_was_appended: "test_a_closed_store_takes_nothing_and_says_so",
    hands_out_numbers_again: "test_a_number_is_never_given_twice_in_an_incarnation",
    fells_nobody: "test_a_refused_commit_fells_its_descendants_only",
}


@pytest.mark.parametrize(("change", "found_by"), BROKEN.items(), ids=lambda each: getattr(each, "__name__", None))
def test_a_broken_store_is_found_by_the_test_that_says_so(change: Callable[[Any], None], found_by: str) -> None:
    assert found_by in failing(Contract(change))


def test_a_sound_store_fails_nothing() -> None:
    assert failing(Contract(sound)) == set()


def test_a_store_that_survives_no_restart_is_not_asked_to() -> None:
    assert failing(ContractOfAForgetfulStore(sound)) == set()


def test_a_store_that_says_it_survives_a_restart_has_to_show_it() -> None:
    def boasts(store: Any) -> None:
        store.features = Features(transactions=False, survives_restart=True, reads_from_other_processes=False)

    assert "test_a_crash_forgets_a_suffix_never_the_middle" in failing(ContractOfAForgetfulStore(boasts))

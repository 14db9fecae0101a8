"""The contract is no formality: brokers that break a promise fail it, at the test that says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from onstage.brokers import embedded
from onstage.brokers.embedded import EmbeddedBroker, EmbeddedLog
from onstage.ports.broker import CursorLost
from onstage.testing import broker_trial
from onstage.testing.broker_contract import BrokerContract

TRIAL_S = 0.5  # the log in memory answers at once, or never


class Contract(BrokerContract):
    """Of a log in memory that is changed first."""

    def __init__(self, change: Callable[[EmbeddedLog], None]) -> None:
        self.change = change
        self.logs: dict[str, EmbeddedLog] = {}

    def connect(self, namespace: str) -> EmbeddedBroker:
        if namespace not in self.logs:
            self.logs[namespace] = EmbeddedLog(namespace)
            self.change(self.logs[namespace])
        return EmbeddedBroker(self.logs[namespace])

    async def leave(self, namespace: str) -> None:
        self.logs[namespace].leave()

    async def come_back(self, namespace: str) -> None:
        self.logs[namespace].come_back()

    async def forget(self, namespace: str, cursor: str) -> None:
        self.logs[namespace].forget(cursor)

    async def drop(self, namespace: str, seq: int) -> None:
        self.logs[namespace].drop(seq)


def failing(contract: BrokerContract) -> set[str]:
    """The names of the tests that this broker fails."""
    failed = set[str]()
    for name in (name for name in dir(contract) if name.startswith("test_")):
        try:
            getattr(contract, name)()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001  a broker may fail in any way
            failed.add(name)
    return failed


def sound(log: EmbeddedLog) -> None:
    pass


def believes_the_duplicate(log: Any) -> None:
    plain = log.append

    def append(message: Any, *, is_new: bool = False) -> int:
        return log._known.get(message.id) or plain(message, is_new=is_new)  # noqa: SLF001

    log.append = append


def recognises_nothing(log: Any) -> None:
    plain = log.append
    log.append = lambda message, **_: plain(message, is_new=True)


def sets_any_revision(log: Any) -> None:
    plain = log.put

    def put(key: str, data: bytes, _: int) -> Any:
        return plain(key, data, log.values[key].revision if key in log.values else 0)

    log.put = put


def keeps_cursors_while_it_is_away(log: Any) -> None:
    log.forget_all = lambda *_: None


def tells_nobody_that_it_is_back(log: Any) -> None:
    log.join = lambda _: None


def lets_two_cursors_have_a_name(log: Any) -> None:
    def begin(name: str, subjects: Any, after: int) -> Any:
        log._cursors[name] = cursor = embedded._EmbeddedCursor(log, name, subjects, after)  # noqa: SLF001
        return cursor

    log.begin_cursor = begin


BROKEN = {
    believes_the_duplicate: "test_an_id_that_is_remembered_proves_nothing",
    recognises_nothing: "test_another_cut_of_the_same_messages_loses_and_doubles_nothing",
    sets_any_revision: "test_a_value_is_set_once_and_then_replaced_by_who_has_seen_it",
    keeps_cursors_while_it_is_away: "test_a_cursor_does_not_outlive_the_broker",
    tells_nobody_that_it_is_back: "test_a_broker_that_left_says_so_and_mends_itself",
    lets_two_cursors_have_a_name: "test_a_cursor_replaces_the_one_of_its_name",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_trial, "TRIAL_S_MAX", TRIAL_S)


@pytest.mark.parametrize(("change", "found_by"), BROKEN.items(), ids=lambda each: getattr(each, "__name__", None))
def test_a_broken_broker_is_found_by_the_test_that_says_so(change: Callable[[Any], None], found_by: str) -> None:
    assert found_by in failing(Contract(change))


def test_a_cursor_that_loses_what_it_had_when_it_is_cancelled_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = embedded._EmbeddedCursor.next  # noqa: SLF001

    async def late(self: Any, *, limit: int = 500) -> Any:
        found = await plain(self, limit=limit)
        await asyncio.sleep(0)
        return found

    monkeypatch.setattr(embedded._EmbeddedCursor, "next", late)  # noqa: SLF001
    assert failing(Contract(sound)) == {"test_who_stops_waiting_loses_nothing"}


def test_a_cursor_that_mends_itself_in_silence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = embedded._EmbeddedCursor.next  # noqa: SLF001

    async def stubborn(self: Any, *, limit: int = 500) -> Any:
        try:
            return await plain(self, limit=limit)
        except CursorLost:
            self._lost = None
            return await plain(self, limit=limit)

    monkeypatch.setattr(embedded._EmbeddedCursor, "next", stubborn)  # noqa: SLF001
    assert "test_a_cursor_that_the_broker_forgot_is_lost" in failing(Contract(sound))


def test_a_sound_broker_fails_nothing() -> None:
    assert failing(Contract(sound)) == set()

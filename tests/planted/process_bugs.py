"""Bugs planted in how ends are known, and in what observers find for services that run apart."""

import copy
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import pytest

from onstage.errors import BrokerUnavailable
from onstage.observe.ledger import Ledger
from onstage.observe.progress import Change
from onstage.runtime import asking, driver, hopeless_apart, hopeless_waits
from onstage.runtime.emission import Emission
from onstage.runtime.presence import Presence
from onstage.runtime.snags import Snags
from onstage.runtime.tidings import Tidings
from onstage.stores.batch import Batch

Patch = pytest.MonkeyPatch


def plain_counter_for_the_digest(patch: Patch) -> None:
    """A process has ended when as many obligations were settled as were opened."""
    from tests.processes.folding import PlainCounter  # it imports the engine, which may be planted by then

    counters: WeakKeyDictionary[Ledger, PlainCounter] = WeakKeyDictionary()
    plain = Ledger.apply

    def apply(self: Ledger, epoch: int, shard: int, seq: int, receipt: Any, opens: Any = ()) -> bool:
        counters.setdefault(self, PlainCounter()).apply(epoch, shard, seq, receipt, opens)
        return plain(self, epoch, shard, seq, receipt, opens)

    def is_complete(self: Ledger, process: Any) -> bool:
        return counters.setdefault(self, PlainCounter()).is_complete(process)

    patch.setattr(Ledger, "apply", apply)
    patch.setattr(Ledger, "is_complete", is_complete)


def output_without_token(patch: Patch) -> None:
    """The delta of a receipt leaves out what its first output opens."""
    plain = driver.delta_of

    def delta_of(frame: Any, status: Any, emission: Any) -> bytes:
        delta = plain(frame, status, emission)
        if emission is None or not emission.deliveries or not any(delta):
            return delta
        mixed = int.from_bytes(delta, "big") ^ emission.deliveries[0].token
        return mixed.to_bytes(16, "big")

    patch.setattr(driver, "delta_of", delta_of)


def obligation_left_out(patch: Patch) -> None:
    """Of several handlers of an event only the first is obliged, in the rows and in the digest."""
    plain = Emission._open

    def opens(self: Emission, route: Any, *rest: Any, **more: Any) -> int:
        fewer = copy.copy(route)
        fewer.triggers = route.triggers[:1]
        return plain(self, fewer, *rest, **more)

    patch.setattr(Emission, "_open", opens)


def settled_before_its_outputs(patch: Patch) -> None:
    """The row of a process does not count what its commit opens."""
    plain = Batch.close_ledger

    def close_ledger(self: Batch) -> Any:
        for row in self.processes.values():
            row.open = max(row.open - 1, 0)
        return plain(self)

    patch.setattr(Batch, "close_ledger", close_ledger)


def change_called_by_whoever_finds_it(patch: Patch) -> None:
    """The id of a change of verdict is another one for each observer."""
    patch.setattr(Change, "name", property(lambda self: f"{self.kind}/{id(self)}"))


def tiding_forgotten_when_sent(patch: Patch) -> None:
    """A change counts as told once it is sent."""
    plain = Tidings._send

    async def send(self: Tidings, tidings: Any) -> None:
        await plain(self, tidings)
        await self._forget(tidings)

    patch.setattr(Tidings, "_send", send)


def tidings_sent_at_once(patch: Patch) -> None:
    """An observer sends what it finds before it has read what was told already."""
    plain = Tidings.__init__

    def init(self: Tidings, broker: Any, registry: Any, _: Any) -> None:
        plain(self, broker, registry, lambda: True)

    patch.setattr(Tidings, "__init__", init)


def in_vain_although_more_is_on_its_way(patch: Patch) -> None:
    """A store believes that a wait is in vain before it has all that the observer has seen."""
    plain = hopeless_apart._DECODE
    patch.setattr(hopeless_apart, "_DECODE", lambda data: msgspec.structs.replace(plain(data), seen=()))


def silence_of_the_broker_taken_for_absence(patch: Patch) -> None:
    """While the broker is away all services are."""
    plain = Presence._alive

    async def alive(self: Presence, service: str) -> Any:
        try:
            return await plain(self, service)
        except BrokerUnavailable:
            self._silent_since.setdefault(service, 0.0)
            return None

    patch.setattr(Presence, "_alive", alive)


def away_at_the_first_silence(patch: Patch) -> None:
    """A service that does not answer once has no live node."""
    patch.setattr(Presence, "_is_away", lambda *_: True)


def freed_by_nobody(patch: Patch) -> None:
    """What an earlier life has found blocked is not looked at again."""

    async def load(_: Snags) -> None:
        return None

    patch.setattr(Snags, "load", load)


def lane_cycle_not_looked_for(patch: Patch) -> None:
    """Nobody looks who waits for whom."""
    patch.setattr(Snags, "heard", lambda *_: None)


def missing_handler_not_told(patch: Patch) -> None:
    """That nobody runs a handler is not told."""
    plain = Snags.__init__

    def init(self: Snags, reader: Any, _: Any, circles: Any) -> None:
        plain(self, reader, frozenset, circles)

    patch.setattr(Snags, "__init__", init)


def pending_ask_waits_for_ever(patch: Patch) -> None:
    """A request that nobody answers any more is waited for."""

    async def nothing(*_: object) -> dict[int, list[str]]:
        return {}

    patch.setattr(hopeless_waits, "_unanswered_in", nothing)


def ask_made_although_nobody_answers(patch: Patch) -> None:
    """A request is made whether or not anybody answers such."""

    async def nothing(*_: object) -> None:
        return None

    patch.setattr(asking, "refuse_unanswered", nothing)


_FOLDING = "tests/processes/test_folding.py::test_no_end_is_said_early_and_none_is_missed"
_ENGINE = "tests/processes/test_engine.py::test_the_engine_says_no_end_early_and_misses_none[0]"
_TIDINGS = "tests/unit/runtime/test_tidings.py::"
_APART = "tests/unit/runtime/test_hopeless_apart.py::"
_PRESENCE = "tests/unit/runtime/test_presence.py::"
_TOLD = "tests/scenario/test_stuck_told.py::"
_ASKS = "tests/scenario/test_unanswered.py::"

FOUND_BY: dict[Callable[[Patch], None], str] = {
    plain_counter_for_the_digest: _FOLDING,
    output_without_token: _ENGINE,
    obligation_left_out: _ENGINE,
    settled_before_its_outputs: _ENGINE,
    change_called_by_whoever_finds_it: f"{_TIDINGS}test_a_handler_elsewhere_hears_of_each_change_once_whoever_watches",
    tiding_forgotten_when_sent: f"{_TIDINGS}test_what_the_log_loses_is_sent_again",
    tidings_sent_at_once: f"{_TIDINGS}test_nothing_is_sent_before_the_log_was_read_to_its_end",
    in_vain_although_more_is_on_its_way: f"{_APART}test_what_does_not_fit_is_not_believed",
    silence_of_the_broker_taken_for_absence: f"{_PRESENCE}test_nothing_is_concluded_while_the_broker_is_away",
    away_at_the_first_silence: f"{_PRESENCE}test_who_answers_says_what_it_runs_and_who_is_silent_has_time",
    freed_by_nobody: "tests/unit/runtime/test_snags.py::"
    "test_what_a_missing_handler_owes_is_found_once_and_freed_when_it_is_back_also_by_a_later_life",
    lane_cycle_not_looked_for: f"{_TOLD}test_a_lane_cycle_is_told_within_a_second_wherever_the_node_dies",
    missing_handler_not_told: f"{_TOLD}test_a_handler_that_no_node_has_is_told_once_wherever_the_node_dies",
    pending_ask_waits_for_ever: f"{_ASKS}test_it_fails_within_a_second",
    ask_made_although_nobody_answers: f"{_ASKS}test_a_new_ask_that_nobody_answers_fails_at_once_and_can_be_tried_again",
}
"""By which test each of them is found."""

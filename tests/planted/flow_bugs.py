"""Bugs planted in flow control: limits, fairness, budgets, pauses, debounce and batches."""

from typing import Any

import pytest

from onstage.core.commit import Commit
from onstage.core.fair_queue import FairQueue
from onstage.core.retry_budget import RetryBudget
from onstage.core.token_bucket import TokenBucket
from onstage.runtime import driver
from onstage.runtime.batching import Batching
from onstage.runtime.debounce import Debounce
from onstage.runtime.kept_rates import KeptRate
from onstage.runtime.pauses import Pauses
from onstage.runtime.turnstile import Turnstile
from onstage.stores.batch import Batch

Patch = pytest.MonkeyPatch


def tenants_in_one_queue(patch: Patch) -> None:
    """Events of all tenants wait in the order in which they came."""
    plain = FairQueue.push

    def push(self: Any, item: Any, *, tenant: Any = None, **options: Any) -> None:
        plain(self, item, tenant=tenant if isinstance(tenant, Turnstile) else None, **options)

    patch.setattr(FairQueue, "push", push)


def woken_before_all(patch: Patch) -> None:
    """What wakes up goes before whatever is new, whose turn it ever is."""
    plain = FairQueue._whose_turn

    def whose_turn(self: Any, level: int, *, begun_only: bool) -> Any:
        return plain(self, level, begun_only=begun_only or bool(self._begun.levels[level]))

    patch.setattr(FairQueue, "_whose_turn", whose_turn)


def low_priorities_starve(patch: Patch) -> None:
    """The highest priority is always next."""
    patch.setattr(FairQueue, "_next_level", lambda _, filled: filled.bit_length() - 1)


def bucket_begins_full(patch: Patch) -> None:
    """After each start a second's worth of tokens is there at once."""
    plain = TokenBucket.__init__

    def init(self: TokenBucket, rate: Any, now_s: float) -> None:
        plain(self, rate, now_s)
        self._due_s = now_s

    patch.setattr(TokenBucket, "__init__", init)


def bucket_forgets_lateness(patch: Patch) -> None:
    """A token is counted from when it was taken, not from when it was due: the rate is missed."""

    def take(self: TokenBucket, now_s: float) -> None:
        self._due_s = now_s + self._tolerance_s + self._interval_s

    patch.setattr(TokenBucket, "take", take)


def slow_rates_forgotten(patch: Patch) -> None:
    """A rate of a few in a minute begins anew with each start."""

    async def load(self: KeptRate) -> None: ...

    patch.setattr(KeptRate, "load", load)


def retries_cost_nothing(patch: Patch) -> None:
    """A retry is always covered."""
    patch.setattr(RetryBudget, "wait_s", lambda *_: 0.0)


def pause_only_in_memory(patch: Patch) -> None:
    """A pause is not read back at the start."""

    async def load(self: Pauses) -> None: ...

    patch.setattr(Pauses, "load", load)


def place_not_given_back(patch: Patch) -> None:
    """When one leaves, nobody is let in: the place stays free until another comes."""

    def left(self: Turnstile) -> None:
        self.gate.running -= 1

    patch.setattr(Turnstile, "left", left)


def burst_ends_early(patch: Patch) -> None:
    """A burst ends so long after its first event, whatever comes meanwhile."""

    def due(self: Debounce, burst: Any) -> int:
        return int(burst.begun + self._pause_ms)

    patch.setattr(Debounce, "_due", due)


def debounce_begins_anew(patch: Patch) -> None:
    """After a restart a burst is counted from the restart."""
    plain = Debounce.recovered

    async def recovered(self: Debounce, delivery: Any, turn: Any, view: Any, event: Any) -> None:
        await plain(self, delivery, turn, view, event)
        if turn.since:
            turn.since = self._node.clock.now_ms()

    patch.setattr(Debounce, "recovered", recovered)


def members_not_settled(patch: Patch) -> None:
    """The commit of a batch settles its first event only."""
    patch.setattr(driver, "settle_members", lambda *_: None)


def batch_not_remembered(patch: Patch) -> None:
    """After a crash a batch that has begun is put together anew."""

    async def recovered(self: Batching, delivery: Any, turn: Any, view: Any, event: Any) -> None:
        if not view.started:
            turn.since = self._node.clock.now_ms()
        elif view.length:
            delivery.lane = self._lane

    patch.setattr(Batching, "recovered", recovered)


def members_not_checked(patch: Patch) -> None:
    """A store settles a member again that was settled before."""
    plain = Batch._conflict

    def conflict(self: Batch, commit: Commit) -> Any:
        also, commit.also = commit.also, ()
        refusal = plain(self, commit)
        commit.also = also
        return refusal

    patch.setattr(Batch, "_conflict", conflict)

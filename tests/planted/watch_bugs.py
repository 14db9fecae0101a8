"""Bugs planted in what watches processes: milestones, deadlines, changes of verdict, alerts."""

from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import pytest

from onstage.core.commit import Commit
from onstage.observe.progress import Progress
from onstage.runtime import alerts
from onstage.runtime.alerts import Alerts
from onstage.runtime.exchange import Exchange
from onstage.runtime.process_monitor import ProcessMonitor
from onstage.runtime.process_teller import NodeTeller
from onstage.stores.batch import Batch

Patch = pytest.MonkeyPatch


def time_not_looked_at(patch: Patch) -> None:
    """Only what comes is seen, never what does not."""
    patch.setattr(Progress, "lapse", lambda *_: [])


def lateness_never_lifted(patch: Patch) -> None:
    """A milestone that was late stays late when it has come."""
    patch.setattr(Progress, "late", property(lambda self: [name for name in self.due if name in self.told]))


def late_although_it_came_in_time(patch: Patch) -> None:
    """What has come is judged by when somebody looks, not by its own clock."""
    plain = Progress.hear

    def hear(self: Progress, plan: Any, heard: Any) -> Any:
        return plain(self, plan, heard._replace(at=heard.at + (self.begun is not None)))

    patch.setattr(Progress, "hear", hear)


def deadline_decided_in_memory(patch: Patch) -> None:
    """The store does not ask whether there is an outcome by then."""
    plain = Batch._is_overtaken

    def is_overtaken(self: Batch, commit: Commit) -> bool:
        asked, commit.undecided = commit.undecided, 0
        try:
            return plain(self, commit)
        finally:
            commit.undecided = asked

    patch.setattr(Batch, "_is_overtaken", is_overtaken)


def progress_not_compared(patch: Patch) -> None:
    """A row replaces whatever stands there."""

    def is_overtaken(self: Batch, commit: Commit) -> bool:
        rows, commit.progress = commit.progress, ()
        try:
            return plain(self, commit)
        finally:
            commit.progress = rows

    plain = Batch._is_overtaken
    patch.setattr(Batch, "_is_overtaken", is_overtaken)


def place_not_in_the_commit(patch: Patch) -> None:
    """The monitor's place is not kept with what it folded: after a crash receipts are folded twice."""
    plain = NodeTeller.append

    def append(self: NodeTeller, told: Any, rows: Any, notes: Any) -> int:
        return plain(self, told, rows, notes if not rows else ())

    patch.setattr(NodeTeller, "append", append)


def told_beside_the_commit(patch: Patch) -> None:
    """A change is told in a commit of its own, before the one that remembers it."""
    plain = ProcessMonitor._write

    async def write(self: ProcessMonitor, told: Any, processes: Any) -> None:
        if told:
            position = self._teller.append(told, (), ())
            self._store.flush()
            await self._store.durable(position)
        await plain(self, (), processes)

    patch.setattr(ProcessMonitor, "_write", write)


def deadline_not_remembered(patch: Patch) -> None:
    """The event of a deadline is emitted, and its row stays as it was."""
    plain = NodeTeller._append

    def append(self: NodeTeller, commit: Commit, emission: Any) -> int:
        if commit.undecided:
            commit.progress, commit.undecided = (), 0
        return plain(self, commit, emission)

    patch.setattr(NodeTeller, "_append", append)


def own_changes_watched(patch: Patch) -> None:
    """Whoever fails at being told is told of that."""

    async def is_own(*_: object) -> bool:
        return False

    patch.setattr(ProcessMonitor, "_is_own", is_own)


def alert_forgotten_when_not_taken(patch: Patch) -> None:
    """One attempt has to do."""
    plain = Alerts._send_one

    async def send_one(self: Alerts, alert: Any) -> None:
        try:
            await plain(self, alert)
        except (OSError, HTTPException):
            return

    patch.setattr(Alerts, "_send_one", send_one)


def address_of_the_webhook_logged(patch: Patch) -> None:
    """What went wrong is logged in the words of the network."""
    patch.setattr(Alerts, "_say_away", lambda _, error: alerts.log.warning("alerts are not taken: %s", error))


def outcomes_not_sent_to_the_owner(patch: Patch) -> None:
    """The store that decides a deadline hears only what its handlers subscribe to."""
    patch.setattr(Exchange, "_decided_here", lambda _: [])


_WATCHED = "tests/scenario/test_watched.py::"
_EVERY_CRASH = f"{_WATCHED}test_a_crash_at_any_commit_changes_nothing_of_what_is_told"
_PURE = "tests/unit/observe/test_progress.py::"
_STORES = "tests/contract/test_stores.py::TestMemoryStore::"
_ALERTS = "tests/unit/runtime/test_alerts.py::"
_NOT_TAKEN = f"{_ALERTS}test_what_is_not_taken_is_sent_again_under_its_id_and_the_secret_is_not_logged"

FOUND_BY: dict[Callable[[Patch], None], str] = {
    time_not_looked_at: f"{_WATCHED}test_a_late_milestone_is_stuck_within_a_second_and_says_whose_it_is",
    lateness_never_lifted: f"{_PURE}test_a_late_milestone_is_told_once_and_lifted_when_it_comes",
    late_although_it_came_in_time: f"{_PURE}test_a_milestone_may_come_in_its_last_millisecond",
    deadline_decided_in_memory: f"{_STORES}test_what_waits_for_no_outcome_is_refused_by_one",
    progress_not_compared: f"{_STORES}test_a_row_that_does_not_follow_is_refused_with_its_commit",
    place_not_in_the_commit: _EVERY_CRASH,
    told_beside_the_commit: _EVERY_CRASH,
    deadline_not_remembered: f"{_WATCHED}test_the_deadline_emits_its_event_once",
    own_changes_watched: f"{_WATCHED}test_whoever_fails_at_being_told_is_not_told_of_that",
    alert_forgotten_when_not_taken: _NOT_TAKEN,
    address_of_the_webhook_logged: _NOT_TAKEN,
    outcomes_not_sent_to_the_owner: "tests/unit/runtime/test_monitor_apart.py::"
    "test_the_owner_hears_of_the_outcome_and_emits_nothing",
}
"""By which test each of them is found."""

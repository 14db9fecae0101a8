"""Bugs planted in what only some worlds play: each is seen by the checkers of that play."""

import pytest
from tests.planted.answer_bugs import answer_to_another_request_taken
from tests.planted.branch_bugs import abandoned_left_as_it_is
from tests.planted.embed_bugs import counted_at_once, row_removed_before_it_is_durable
from tests.planted.time_bugs import delayed_at_once, missed_runs_forgotten
from tests.planted.watch_bugs import place_not_in_the_commit

from onstage.observe.progress import Progress
from onstage.runtime import dispatcher, gather

Patch = pytest.MonkeyPatch


def loser_keeps_what_it_did(patch: Patch) -> None:
    """What a branch has done after it had lost its race stays done, and nobody looks whether it does."""
    abandoned_left_as_it_is(patch)
    for module in (dispatcher, gather):
        patch.setattr(module, "unheard_failure", lambda _: None)


def delayed_in_a_world_at_once(patch: Patch) -> None:
    """As `delayed_at_once`."""
    delayed_at_once(patch)


def any_answer_taken(patch: Patch) -> None:
    """As `answer_to_another_request_taken`."""
    answer_to_another_request_taken(patch)


def runs_missed_in_a_world_forgotten(patch: Patch) -> None:
    """As `missed_runs_forgotten`."""
    missed_runs_forgotten(patch)


def receipts_of_a_world_folded_again(patch: Patch) -> None:
    """As `place_not_in_the_commit`."""
    place_not_in_the_commit(patch)


def lateness_told_to_nobody(patch: Patch) -> None:
    """That a milestone is late is written down, and no event says so."""
    patch.setattr(Progress, "_late", lambda self, name, *_: self.told.append(name))


def rows_of_a_world_removed_early(patch: Patch) -> None:
    """As `row_removed_before_it_is_durable`."""
    row_removed_before_it_is_durable(patch)


def counted_in_a_world_at_once(patch: Patch) -> None:
    """As `counted_at_once`."""
    counted_at_once(patch)


SEEN_BY = {
    receipts_of_a_world_folded_again: "watches",
    lateness_told_to_nobody: "watches",
    rows_of_a_world_removed_early: "intake",
    counted_in_a_world_at_once: "counts",
    loser_keeps_what_it_did: "branches",
    delayed_in_a_world_at_once: "delays",
    any_answer_taken: "answers",
    runs_missed_in_a_world_forgotten: "schedules",
}

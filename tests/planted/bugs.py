"""The corpus of planted bugs: what is planted, and which checkers of the worlds have to complain of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.planted import run_bugs as run
from tests.planted import store_bugs as store

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """A change to the engine, and the checkers of which at least one must complain.

    `elsewhere` is the test that finds what no world can: it has to fail while the bug is planted.
    """

    plant: Plant
    checkers: frozenset[str] = frozenset()
    elsewhere: str | None = None

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return self.plant.__name__.replace("_", "-")

    @contextmanager
    def planted(self) -> Iterator[None]:
        """While inside, the engine of this process has the bug."""
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            yield


# A checker is written as its complaints begin. Where several are named, the same damage shows in one or in the other,
# depending on when the node dies.
IN_WORLDS: dict[Plant, str] = {
    store.barrier_skipped: "barrier",
    store.answer_before_commit: "I10",
    store.identity_forgotten: "I10",
    store.payload_not_compared: "I10",
    store.dedupe_outside_the_transaction: "I10",
    store.mail_not_in_the_commit: "I1",
    store.felling_left_out: "I5 I2 I12 I13 world liveness",
    store.conflict_check_left_out: "I12 I13 I2 world liveness",
    store.epoch_not_checked: "I9",
    store.unknown_outcome_repeated: "I1 I2 I10 I12 world liveness",
    store.unknown_outcome_believed: "I1 I2 I10 I12 world liveness",
    store.failed_batch_given_up: "I1 I10 I12 world liveness",
    store.seq_drawn_by_a_lost_batch: "I12",
    store.commits_not_synced: "I1 I2 I3 I10 I12 world",
    store.entry_lost: "I2 I3 I13 world liveness",
    store.handler_left_out: "I1",
    store.clock_alone_orders: "I5",
    store.receipt_without_digest: "I12",
    store.receipts_without_digest: "I12",
    store.receipt_twice: "I12",
    store.verdict_before_durable: "I7",
    store.waiting_called_completed: "I7",
    store.identities_kept: "I15",
    store.transaction_outside_the_batch: "I2",
    run.recorded_step_runs_again: "I3",
    run.replay_skips_an_entry: "I2 I13",
    run.chance_not_recorded: "I13",
    run.result_recorded_twice: "I8",
    run.key_drawn_anew: "I3",
    run.key_shared: "I3",
    run.retry_in_a_branch_forgotten: "liveness",
    run.dead_letter_dropped: "I1",
    run.undo_left_out: "I3 I6",
    run.undo_forwards: "I6",
    run.undo_twice: "I3 I6",
    run.no_lanes: "I4",
    run.lanes_stay_closed: "liveness",
    run.lane_released_twice: "I4",
    run.timeouts_early: "I8",
    run.timers_forgotten: "liveness",
    run.timer_lost_among_others: "liveness",
    run.early_mail_lost: "I1",
    run.wakeup_lost: "I1 liveness",
    run.listeners_stay: "I15",
    run.open_not_cleaned: "I15",
    run.refused_work_forgotten: "liveness",
    run.recovery_gives_up: "liveness",
    run.recovery_adopts_what_runs: "I2 I3 I12 I13 I15 world liveness",
    run.recovery_backwards: "I4",
    run.result_guessed: "I13",
}

IN_OTHER_SUITES: dict[Plant, str] = {
    run.arguments_not_hashed: "tests/unit/core/test_execution.py::test_changed_arguments_are_diverged",
    run.attempts_forgotten: "tests/unit/runtime/test_attempts.py::test_the_number_of_attempts_survives_a_restart",
    run.begun_mark_left_out: "tests/unit/core/test_execution.py::test_a_step_in_doubt_is_performed_as_begun",
    run.mail_taken_twice: "tests/unit/core/test_execution.py::test_a_wait_keeps_its_deadline_and_what_it_consumed",
    run.incarnation_reused: "tests/contract/test_stores.py::TestSqliteStore::test_each_start_draws_a_new_incarnation_and_epoch",
}

BUGS: dict[str, Bug] = {
    bug.name: bug
    for bug in (
        *(Bug(plant, frozenset(checkers.split())) for plant, checkers in IN_WORLDS.items()),
        *(Bug(plant, elsewhere=test) for plant, test in IN_OTHER_SUITES.items()),
    )
}

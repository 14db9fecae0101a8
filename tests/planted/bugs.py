"""The corpus of planted bugs: what is planted, and which checkers of the worlds have to complain of it.

What is not in the worlds is found by the test that is named for it. For some of it, a second mechanism stands behind:

| Planted | Why no world shows it |
|---|---|
| entry-lost | a commit worked out from another length is refused, its execution loaded anew (-unnoticed has both) |
| felling-left-out, conflict-check-left-out, claim-not-checked | only a replaced writer is refused, for its epoch |
| refusal-ignored, refused-work-forgotten | likewise: no commit of the node that runs is refused |
| sweep-left-out | the second net: it catches only what another defect has stranded |
| begun-mark-left-out | nothing reads the mark yet, a step in doubt is finished by replay (ADR 0007) |
| file-mapped, readers-checkpoint, doctor-silent | the library in use is free of what they guard against |
| wakeup-lost, mail-taken-twice | no handler there waits in a branch, or twice |
| result-guessed, arguments-not-hashed | none goes on with a step's result, or comes with other arguments |
| attempts-forgotten, cancellation-swallowed | nobody there counts attempts, or cancels a step |
| incarnation-reused | worlds draw names from a clock of their own |
| mail-not-in-the-commit | a kill would have to hit one millisecond |
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.planted import answer_bugs as answer
from tests.planted import broker_bugs as broker
from tests.planted import run_bugs as run
from tests.planted import store_bugs as store
from tests.planted import time_bugs as timing
from tests.planted import tour_bugs as tour
from tests.planted import trap_bugs as trap

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """A change to the engine, and the checkers of which at least one must complain.

    `elsewhere` is the test that finds what no world can: it has to fail while the bug is planted. With `on_tour` the
    worlds are those of several nodes.
    """

    plant: Plant
    checkers: frozenset[str] = frozenset()
    elsewhere: str | None = None
    on_tour: bool = False

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
    store.epoch_not_checked: "I9",
    store.unknown_outcome_repeated: "I1 I2 I10 I12 world liveness",
    store.unknown_outcome_believed: "I1 I2 I10 I12 world liveness",
    store.failed_batch_given_up: "I1 I10 I12 world liveness",
    store.seq_drawn_by_a_lost_batch: "I12",
    store.commits_not_synced: "I1 I2 I3 I10 I12 world",
    store.handler_left_out: "I1",
    store.clock_alone_orders: "I5",
    store.receipt_without_digest: "I12",
    store.receipts_without_digest: "I12",
    store.receipt_twice: "I12",
    store.verdict_before_durable: "I7",
    store.waiting_called_completed: "I7",
    store.identities_kept: "I15",
    store.transaction_outside_the_batch: "I2",
    store.transaction_rolled_back: "I2",
    run.recorded_step_runs_again: "I3",
    run.replay_skips_an_entry: "I13",
    run.chance_not_recorded: "I1 liveness",
    run.result_recorded_twice: "I8",
    run.key_drawn_anew: "I3",
    run.key_shared: "I3",
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
    run.listeners_stay: "I15",
    run.open_not_cleaned: "I15",
    run.recovery_gives_up: "liveness",
    run.recovery_adopts_what_runs: "I2 I3 I12 I13 I15 world liveness",
    run.recovery_backwards: "I4",
    trap.last_entries_lost: "I13",
    trap.entry_lost_unnoticed: "I13",
    trap.retry_in_a_branch_forgotten: "liveness",
    trap.answer_never_given: "liveness",
}

# In tours, worlds of several nodes on one broker.
ON_TOUR: dict[Plant, str] = {
    tour.duplicate_believed: "I1 liveness",
    tour.mark_before_acknowledgement: "I1 liveness",
    tour.newest_mark_only: "I1 liveness",
    tour.counters_not_reduced: "I1 liveness",
    tour.repetitions_known_for_a_while: "I1 I2 twice liveness world",
    tour.place_before_events: "I1 liveness",
    tour.place_not_verified: "I1 liveness",
    tour.gaps_ignored: "I1 I4 liveness",
    tour.nobody_asked: "I1 liveness",
    tour.process_numbered_twice: "twice liveness",
    tour.receipts_applied_twice: "balance observer liveness",
    tour.closed_by_count_alone: "premature",
    tour.registry_not_put_back: "observer balance liveness",
}

CONTRACT = "tests/contract/test_stores.py::TestSqliteStoreInline::"
RUNTIME = "tests/unit/runtime/"
REQUESTS = "tests/scenario/test_requests.py::"
NATS = "tests/unit/brokers/nats/"
CONNECTION = "tests/unit/stores/sqlite/test_connection.py::"
DELAYED = "tests/scenario/test_delayed_events.py::"
SCHEDULES = "tests/scenario/test_schedules.py::"
IN_OTHER_SUITES: dict[Plant, str] = {
    store.felling_left_out: f"{CONTRACT}test_a_refused_commit_fells_its_descendants_only",
    store.conflict_check_left_out: f"{CONTRACT}test_a_commit_on_another_journal_length_is_refused",
    store.mail_not_in_the_commit: f"{RUNTIME}test_mailbox.py::test_mail_of_another_process_wakes_nobody",
    run.arguments_not_hashed: f"{RUNTIME}test_step.py::test_hashes_of_arguments_do_not_depend_on_the_order_of_keys",
    run.attempts_forgotten: f"{RUNTIME}test_attempts.py::test_the_number_of_attempts_survives_a_restart",
    run.mail_taken_twice: "tests/unit/core/test_execution.py::test_a_wait_keeps_its_deadline_and_what_it_consumed",
    run.incarnation_reused: f"{CONTRACT}test_each_start_draws_a_new_incarnation_and_epoch",
    answer.answer_looked_for_before_listening: f"{REQUESTS}test_the_answer_may_come_before_the_wait",
    answer.failure_taken_for_a_value: f"{REQUESTS}test_a_failed_child_is_a_failure_on_every_replay",
    answer.answer_to_another_request_taken: f"{RUNTIME}test_asking.py::"
    "test_what_is_asked_twice_is_asked_twice_and_each_answer_goes_to_its_request",
    answer.children_left_alone: f"{REQUESTS}test_a_cancel_that_meets_the_start_of_a_child_leaves_no_orphan",
    answer.cancel_told_again: f"{RUNTIME}test_cancelling.py::test_it_is_told_after_a_restart_as_well_and_only_once",
    answer.marks_forgotten_at_a_start: f"{RUNTIME}test_cancelling.py::"
    "test_it_is_told_after_a_restart_as_well_and_only_once",
    answer.only_present_waiters_told: f"{RUNTIME}test_replies.py::"
    "test_who_begins_to_wait_between_the_answer_and_its_being_durable_is_told",
    trap.entry_lost: f"{CONTRACT}test_an_execution_is_read_with_its_event_and_journal",
    trap.claim_not_checked: f"{CONTRACT}test_a_commit_of_an_ended_execution_is_refused",
    trap.refusal_ignored: f"{RUNTIME}test_node.py::test_a_commit_that_the_store_refuses_loads_its_execution_anew",
    trap.refused_work_forgotten: f"{RUNTIME}test_mailbox.py::test_an_execution_that_refused_mail_woke_goes_on_waiting",
    trap.wakeup_lost: f"{RUNTIME}test_calls.py::"
    "test_nothing_is_lost_when_the_event_comes_while_another_branch_is_running",
    trap.begun_mark_left_out: f"{RUNTIME}test_attempts.py::test_a_step_with_an_undo_is_marked_on_disk_before_it_runs",
    trap.result_guessed: f"{RUNTIME}test_attempts.py::test_live_and_replay_return_the_decoded_copy",
    trap.sweep_left_out: f"{RUNTIME}test_recovery.py::test_the_sweep_takes_up_what_nobody_knows_and_nothing_else",
    trap.cancellation_swallowed: f"{RUNTIME}test_attempts.py::"
    "test_a_cancellation_is_heard_although_the_step_ends_at_the_same_moment",
    trap.file_mapped: f"{CONNECTION}test_the_writers_connection_keeps_every_promise",
    trap.readers_checkpoint: f"{CONNECTION}test_the_readers_connection_cannot_write",
    broker.server_duplicate_believed: f"{NATS}test_publishing.py::test_what_the_server_calls_a_duplicate_is_looked_at",
    broker.refused_batch_given_up: f"{NATS}test_publishing.py::"
    "test_whatever_the_server_has_each_number_holds_its_message",
    broker.silence_borne: f"{NATS}test_pulling.py::test_silence_for_twice_the_heartbeat_loses_the_cursor",
    trap.doctor_silent: "tests/unit/cli/test_doctor.py::test_the_wal_reset_bug_is_known_by_version",
    timing.delayed_at_once: f"{DELAYED}test_a_delayed_event_comes_when_it_is_due_and_not_earlier",
    timing.due_time_not_stored: f"{DELAYED}test_one_that_fell_due_while_no_node_ran_comes_at_the_start",
    timing.delayed_in_the_order_of_numbers: f"{DELAYED}test_many_that_are_due_at_once_come_in_the_order_of_their_times",
    timing.expiry_ignored: f"{DELAYED}test_an_expired_event_is_skipped_and_says_so",
    timing.beginning_not_stored: f"{DELAYED}test_an_effect_that_was_made_is_never_followed_by_expiry",
    timing.row_moved_on_first: f"{SCHEDULES}test_a_planned_time_has_one_event_whichever_commit_the_node_dies_at",
    timing.row_moved_on_later: f"{SCHEDULES}test_a_planned_time_has_one_event_whichever_commit_the_node_dies_at",
    timing.schedule_stops_at_a_failure: f"{SCHEDULES}test_the_next_run_comes_though_the_store_refused_one",
    timing.dead_letter_counts_as_under_way: f"{SCHEDULES}test_the_next_run_comes_though_one_failed_for_good",
    timing.missed_runs_forgotten: f"{SCHEDULES}test_missed_runs_are_caught_up_within_the_window_and_older_ones_counted",
    timing.pause_in_memory: f"{SCHEDULES}test_a_paused_schedule_stands_still_across_a_restart",
}

BUGS: dict[str, Bug] = {
    bug.name: bug
    for bug in (
        *(Bug(plant, frozenset(checkers.split())) for plant, checkers in IN_WORLDS.items()),
        *(Bug(plant, frozenset(checkers.split()), on_tour=True) for plant, checkers in ON_TOUR.items()),
        *(Bug(plant, elsewhere=test) for plant, test in IN_OTHER_SUITES.items()),
    )
}

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
| row-…, own-file-…, spans-…, counted-… | no world embeds a stage, or has telemetry |
| mail-not-in-the-commit | a kill would have to hit one millisecond |
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.planted import answer_bugs as answer
from tests.planted import branch_bugs as branch
from tests.planted import broker_bugs as broker
from tests.planted import durable_bugs as durable
from tests.planted import embed_bugs as embed
from tests.planted import errand_bugs as errand
from tests.planted import expect_bugs as expect
from tests.planted import feature_bugs as features
from tests.planted import flow_bugs as flow
from tests.planted import offload_bugs as offload
from tests.planted import play_bugs as plays
from tests.planted import process_bugs as processes
from tests.planted import run_bugs as run
from tests.planted import store_bugs as store
from tests.planted import subs_bugs as subs
from tests.planted import time_bugs as timing
from tests.planted import tour_bugs as tour
from tests.planted import trap_bugs as trap
from tests.planted import watch_bugs as watch
from tests.planted import wave_bugs as wave
from tests.planted import web_bugs as web
from tests.planted import workflow_bugs as workflow

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
    tour.holes_ignored: "I1 liveness",
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
RACES = "tests/scenario/test_races_of_others.py::"
CANCELLED = "tests/scenario/test_cancelled_branches.py::"
STORIES = "tests/scenario/test_subscriptions.py::"
FLOW = "tests/scenario/"
NATS = "tests/unit/brokers/nats/"
EMBEDDING = "tests/unit/embedding/"
CONNECTION = "tests/unit/stores/sqlite/test_connection.py::"
DELAYED = "tests/scenario/test_delayed_events.py::"
SCHEDULES = "tests/scenario/test_schedules.py::"
SCENES = "tests/scenario/"
OFFLOAD = "tests/unit/stores/sqlite/test_offload.py::"
IN_OTHER_SUITES: dict[Plant, str] = {
    expect.rule_answered_by_what_came_before: "tests/unit/observe/test_marking.py::"
    "test_a_marking_says_what_a_naive_reader_of_the_history_says",
    expect.rule_forgotten_at_the_end: f"{SCENES}test_expecting.py::"
    "test_each_rule_is_told_once_whatever_dies[forgotten]",
    expect.violation_in_tests_swallowed: f"{SCENES}test_expecting.py::"
    "test_a_violation_fails_the_test_and_says_which_rule_where_and_why",
    expect.wait_failed_too_early: "tests/unit/observe/test_possible.py::"
    "test_nothing_that_is_called_impossible_ever_comes",
    expect.wait_never_failed: f"{SCENES}test_hopeless.py::test_a_wait_whose_last_producer_has_finished_fails_at_once",
    expect.hopeless_wait_not_recorded: f"{SCENES}test_hopeless.py::test_it_is_an_entry_of_the_journal_and_replayed",
    errand.cancel_ahead_forgotten: f"{RUNTIME}test_asked_from_elsewhere.py::"
    "test_a_cancel_that_overtakes_a_start_from_outside_keeps_it_from_running",
    errand.child_elsewhere_not_told: f"{RUNTIME}test_asking_elsewhere.py::"
    "test_a_child_on_another_store_is_cancelled_with_its_parent",
    errand.want_before_its_request_dropped: f"{RUNTIME}test_asked_from_elsewhere.py::"
    "test_a_want_that_comes_before_its_request_is_kept_and_answered_once_it_came",
    errand.names_drawn_anew: f"{RUNTIME}test_asking_elsewhere.py::test_the_same_id_is_one_request_wherever_it_is_asked",
    errand.deadline_left_behind: f"{RUNTIME}test_asking_elsewhere.py::test_a_deadline_travels_with_the_request",
    errand.payload_not_compared_from_afar: f"{RUNTIME}test_asking_elsewhere.py::"
    "test_an_id_that_names_another_request_is_refused_here_and_answered_so_from_there",
    workflow.fork_takes_over_nothing: f"{SCENES}test_forks.py::"
    "test_a_fork_does_the_rest_once_and_nothing_again_wherever_it_crashes",
    workflow.fork_with_keys_of_its_own: f"{SCENES}test_forks.py::"
    "test_a_fork_that_rejects_undoes_what_it_took_over_under_the_key_of_the_original",
    workflow.other_run_not_cancelled: f"{SCENES}test_schedules.py::"
    "test_a_run_that_is_due_cancels_the_one_under_way_wherever_the_node_dies",
    workflow.cancel_of_the_other_run_beside_the_commit: f"{SCENES}test_schedules.py::"
    "test_a_run_that_is_due_cancels_the_one_under_way_wherever_the_node_dies",
    workflow.child_without_an_identity: f"{SCENES}test_shared_children.py::"
    "test_two_parents_have_one_child_wherever_the_node_dies",
    workflow.joined_run_not_heard: f"{SCENES}test_shared_children.py::"
    "test_whoever_joins_is_woken_by_an_answer_in_another_process_wherever_the_node_dies",
    workflow.joined_run_forgotten_at_a_start: f"{SCENES}test_shared_children.py::"
    "test_whoever_joins_is_woken_by_an_answer_in_another_process_wherever_the_node_dies",
    workflow.retired_in_silence: f"{SCENES}test_retired_answerers.py::"
    "test_who_asked_a_retired_handler_is_told_wherever_the_node_dies",
    workflow.workflow_not_looked_for: f"{SCENES}test_workflow_joins.py::"
    "test_an_event_with_its_id_as_key_reaches_the_workflow_wherever_the_node_dies",
    workflow.forked_original_goes_on: f"{SCENES}test_forks.py::"
    "test_an_original_that_was_forked_is_not_retried_or_cancelled",
    durable.state_lanes_apart: f"{SCENES}test_keyed_state.py::test_handlers_that_keep_state_take_turns_by_key",
    durable.state_version_not_checked: f"{SCENES}test_keyed_state.py::test_versions_alone_lose_no_change_either",
    durable.completion_not_looked_for: f"{SCENES}test_completed_elsewhere.py::"
    "test_a_completion_is_taken_once_wherever_the_node_dies",
    durable.completion_kept: f"{RUNTIME}test_completion.py::test_what_came_while_no_node_ran_is_taken_by_the_next",
    durable.heartbeat_unheard: f"{SCENES}test_heartbeats.py::test_an_attempt_lives_as_long_as_it_says_so",
    durable.heartbeat_forgotten: f"{SCENES}test_heartbeats.py::test_a_failing_attempt_leaves_what_it_said_last",
    durable.payload_not_bound: "tests/unit/ports/test_payload_codec.py::"
    "test_a_payload_opens_at_its_place_and_nowhere_else",
    durable.journal_not_sealed: f"{SCENES}test_encryption.py::"
    "test_nothing_in_the_file_can_be_read_wherever_the_node_dies",
    offload.collected_though_a_journal_names_it: f"{OFFLOAD}test_what_one_row_alone_names_is_kept_while_it_does",
    offload.collected_though_a_state_names_it: f"{OFFLOAD}test_what_one_row_alone_names_is_kept_while_it_does",
    offload.replaced_state_still_counted: f"{OFFLOAD}test_garbage_goes_a_few_at_a_time",
    store.felling_left_out: f"{CONTRACT}test_a_refused_commit_fells_its_descendants_only",
    store.conflict_check_left_out: f"{CONTRACT}test_a_commit_on_another_journal_length_is_refused",
    store.mail_not_in_the_commit: f"{RUNTIME}test_mailbox.py::test_mail_of_another_process_wakes_nobody",
    run.arguments_not_hashed: f"{RUNTIME}test_step.py::test_hashes_of_arguments_do_not_depend_on_the_order_of_keys",
    run.attempts_forgotten: f"{RUNTIME}test_attempts.py::test_the_number_of_attempts_survives_a_restart",
    run.mail_taken_twice: "tests/unit/core/test_execution.py::test_a_wait_keeps_its_deadline_and_what_it_consumed",
    run.incarnation_reused: f"{CONTRACT}test_each_start_draws_a_new_incarnation_and_epoch",
    answer.answer_looked_for_before_listening: f"{REQUESTS}test_the_answer_may_come_before_the_wait",
    answer.failure_taken_for_a_value: f"{RACES}test_a_failed_child_is_a_failure_on_every_replay",
    answer.answer_to_another_request_taken: f"{RUNTIME}test_asking.py::"
    "test_what_is_asked_twice_is_asked_twice_and_each_answer_goes_to_its_request",
    answer.children_left_alone: f"{RACES}test_a_cancel_that_meets_the_start_of_a_child_leaves_no_orphan",
    answer.cancel_told_again: f"{RUNTIME}test_cancelling.py::test_it_is_told_after_a_restart_as_well_and_only_once",
    answer.cancel_told_to_one_branch: f"{CANCELLED}"
    "test_a_cancel_tells_every_branch_of_a_gather_once_and_then_the_handler",
    answer.cancel_of_a_branch_not_passed_on: f"{CANCELLED}"
    "test_a_cancel_tells_every_branch_of_a_gather_once_and_then_the_handler",
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
    subs.begun_history_taken_for_complete: f"{STORIES}test_history_is_whole_wherever_the_node_dies",
    subs.history_reopens: f"{RUNTIME}test_history.py::"
    "test_what_is_delivered_late_does_not_reopen_a_finished_process_and_its_outputs_are_new_roots",
    subs.newer_events_overtake_history: f"{RUNTIME}test_history.py::"
    "test_newer_events_of_a_key_wait_for_the_older_ones_and_others_do_not",
    subs.replay_gates: f"{RUNTIME}test_subscriptions.py::"
    "test_a_replay_delivers_again_as_executions_of_its_own_outside_of_the_processes",
    subs.retired_under_its_last_name: f"{RUNTIME}test_subscriptions.py::"
    "test_a_renamed_handler_is_retired_under_the_name_it_was_obliged_with",
    subs.write_off_leaves_the_rest: f"{STORIES}test_a_write_off_is_whole_wherever_the_node_dies",
    subs.one_way_is_enough: "tests/unit/events/test_ways.py::test_a_value_goes_every_way_from_its_version_on_once",
    subs.event_taken_as_it_is: f"{STORIES}test_what_is_lifted_is_the_same_wherever_the_node_dies",
    subs.result_taken_as_it_is: "tests/unit/test_versions.py::"
    "test_a_recorded_result_and_the_arguments_of_an_undo_are_lifted",
    subs.named_handler_not_stored: f"{CONTRACT}test_a_handler_may_be_named_in_a_commit",
    flow.tenants_in_one_queue: f"{FLOW}test_flow_control.py::"
    "test_fairness_holds_after_a_restart_with_the_backlog_in_the_store",
    flow.woken_before_all: f"{FLOW}test_fair_wakeups.py::test_fairness_of_what_wakes_holds_after_a_restart",
    flow.low_priorities_starve: f"{FLOW}test_flow_control.py::"
    "test_a_higher_priority_goes_first_and_a_lower_one_does_not_starve",
    flow.bucket_begins_full: f"{FLOW}test_flow_control.py::test_a_rate_is_kept_across_restarts",
    flow.slow_rates_forgotten: f"{FLOW}test_flow_control.py::"
    "test_a_slow_rate_is_kept_although_the_node_dies_in_every_minute",
    flow.bucket_forgets_lateness: "tests/unit/core/test_token_bucket.py::"
    "test_a_new_bucket_has_one_token_and_fills_up_to_one_second",
    flow.retries_cost_nothing: f"{FLOW}test_flow_control.py::test_an_outage_does_not_become_a_storm",
    flow.pause_only_in_memory: f"{FLOW}test_paused_handlers.py::"
    "test_a_paused_handler_begins_nothing_until_it_is_resumed_and_a_restart_changes_nothing",
    flow.place_not_given_back: f"{FLOW}test_flow_control.py::test_nobody_waits_while_a_place_is_free",
    flow.burst_ends_early: f"{FLOW}test_debounced.py::test_it_runs_once_so_long_after_the_last_event_and_with_that",
    flow.debounce_begins_anew: f"{FLOW}test_debounced.py::test_a_restart_in_a_burst_changes_nothing",
    flow.members_not_settled: f"{FLOW}test_batches.py::test_events_are_handled_together_in_order_and_each_is_settled",
    flow.batch_not_remembered: f"{FLOW}test_batches.py::"
    "test_no_event_is_left_out_and_none_is_handled_twice_at_every_crash",
    flow.members_not_checked: f"{CONTRACT}test_a_member_that_has_ended_refuses_the_whole",
    embed.row_identity_forgotten: f"{EMBEDDING}test_intake_table.py::"
    "test_an_event_whose_row_could_not_be_removed_is_handled_once",
    embed.row_removed_before_it_is_durable: f"{EMBEDDING}test_intake_poller.py::"
    "test_what_the_store_did_not_come_to_stays",
    embed.own_file_not_refused: f"{EMBEDDING}test_joining.py::test_the_nodes_own_file_is_refused",
    embed.spans_ended_at_once: "tests/unit/telemetry/test_spans.py::"
    "test_nothing_is_exported_before_it_is_durable_nor_what_is_refused",
    embed.counted_at_once: "tests/unit/telemetry/test_counts.py::"
    "test_what_is_durable_counts_and_what_is_refused_does_not",
    trap.doctor_silent: "tests/unit/cli/test_doctor.py::test_the_wal_reset_bug_is_known_by_version",
    **branch.FOUND_BY,
    **watch.FOUND_BY,
    **web.FOUND_BY,
    **wave.FOUND_BY,
    **processes.FOUND_BY,
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

SEEN_IN_WORLDS = IN_WORLDS | plays.SEEN_BY | features.SEEN_BY

BUGS: dict[str, Bug] = {
    bug.name: bug
    for bug in (
        *(Bug(plant, frozenset(checkers.split())) for plant, checkers in SEEN_IN_WORLDS.items()),
        *(Bug(plant, frozenset(checkers.split()), on_tour=True) for plant, checkers in ON_TOUR.items()),
        *(Bug(plant, elsewhere=test) for plant, test in IN_OTHER_SUITES.items()),
    )
}

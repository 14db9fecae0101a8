"""Bugs planted in features that only some worlds play: changed code, flow, pauses, histories, long steps, payloads."""

import pytest
from tests.planted import answer_bugs as answer
from tests.planted import durable_bugs as durable
from tests.planted import flow_bugs as flow
from tests.planted import offload_bugs as offload
from tests.planted import subs_bugs as subs
from tests.planted import workflow_bugs as workflow

from onstage.core.execution import Execution
from onstage.core.journal import Patched
from onstage.runtime.entity import Entity

Patch = pytest.MonkeyPatch


def change_for_nobody(patch: Patch) -> None:
    """Every execution stays on the old side of a change."""

    def patched(_: Execution, change: str) -> tuple[bool, Patched]:
        return False, Patched(f"patch {change}", new=False)

    patch.setattr(Execution, "patched", patched)


def change_for_everybody(patch: Patch) -> None:
    """Every execution is on the new side of a change, however far it has come."""

    def patched(_: Execution, change: str) -> tuple[bool, Patched]:
        return True, Patched(f"patch {change}", new=True)

    patch.setattr(Execution, "patched", patched)


def result_not_lifted(patch: Patch) -> None:
    """As `result_taken_as_it_is`."""
    subs.result_taken_as_it_is(patch)


def event_not_lifted(patch: Patch) -> None:
    """As `event_taken_as_it_is`."""
    subs.event_taken_as_it_is(patch)


def turns_not_taken(patch: Patch) -> None:
    """As `tenants_in_one_queue`."""
    flow.tenants_in_one_queue(patch)


def storm_of_retries(patch: Patch) -> None:
    """As `retries_cost_nothing`."""
    flow.retries_cost_nothing(patch)


def place_left_empty(patch: Patch) -> None:
    """As `place_not_given_back`."""
    flow.place_not_given_back(patch)


def burst_cut_short(patch: Patch) -> None:
    """As `burst_ends_early`."""
    flow.burst_ends_early(patch)


def batch_put_together_anew(patch: Patch) -> None:
    """As `batch_not_remembered`."""
    flow.batch_not_remembered(patch)


def pause_forgotten(patch: Patch) -> None:
    """As `pause_only_in_memory`."""
    flow.pause_only_in_memory(patch)


def replay_reopens(patch: Patch) -> None:
    """As `history_reopens`."""
    subs.history_reopens(patch)


def replay_without_a_name(patch: Patch) -> None:
    """As `named_handler_not_stored`."""
    subs.named_handler_not_stored(patch)


def completion_taken_and_kept(patch: Patch) -> None:
    """As `completion_kept`."""
    durable.completion_kept(patch)


def heartbeat_in_vain(patch: Patch) -> None:
    """As `heartbeat_forgotten`."""
    durable.heartbeat_forgotten(patch)


def fork_with_other_keys(patch: Patch) -> None:
    """As `fork_with_keys_of_its_own`."""
    workflow.fork_with_keys_of_its_own(patch)


def fork_from_the_start(patch: Patch) -> None:
    """As `fork_takes_over_nothing`."""
    workflow.fork_takes_over_nothing(patch)


def payload_of_a_state_kept(patch: Patch) -> None:
    """As `replaced_state_still_counted`."""
    offload.replaced_state_still_counted(patch)


def payload_of_a_journal_gone(patch: Patch) -> None:
    """As `collected_though_a_journal_names_it`."""
    offload.collected_though_a_journal_names_it(patch)


def journal_open_to_all(patch: Patch) -> None:
    """As `journal_not_sealed`."""
    durable.journal_not_sealed(patch)


def state_cleared_in_vain(patch: Patch) -> None:
    """What is cleared stays."""
    patch.setattr(Entity, "clear", lambda _: None)


def children_go_on(patch: Patch) -> None:
    """As `children_left_alone`."""
    answer.children_left_alone(patch)


SEEN_BY = {
    change_for_nobody: "changes",
    change_for_everybody: "changes I13 liveness",
    result_not_lifted: "I13 I1 liveness",
    event_not_lifted: "I1 liveness world",
    turns_not_taken: "flow",
    storm_of_retries: "flow",
    place_left_empty: "liveness",
    burst_cut_short: "gatherings",
    batch_put_together_anew: "gatherings I13",
    pause_forgotten: "pauses",
    replay_reopens: "histories",
    replay_without_a_name: "histories liveness world",
    completion_taken_and_kept: "long",
    heartbeat_in_vain: "long",
    fork_with_other_keys: "forks",
    fork_from_the_start: "forks",
    payload_of_a_state_kept: "offload",
    payload_of_a_journal_gone: "offload I1 I8 I13 liveness",
    journal_open_to_all: "seal",
    state_cleared_in_vain: "state",
    children_go_on: "workflows",
}

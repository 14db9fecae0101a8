"""Bugs planted in branches: positions, frontiers, races, parking, scopes, sides of a change."""

import asyncio
from typing import Any

import pytest

from onstage.core.branches import Cursor
from onstage.core.execution import Execution
from onstage.core.journal import Abandoned, Raced
from onstage.runtime import attempts, branch_tasks, scope
from onstage.runtime.branch import Branch
from onstage.runtime.call import active
from onstage.runtime.dispatcher import Dispatcher
from onstage.runtime.frame import Frame

Patch = pytest.MonkeyPatch


def flat_counter(patch: Patch) -> None:
    """The calls of all branches are counted by one counter."""
    patch.setattr(Execution, "enter", lambda *_: None)


def frontier_shared(patch: Patch) -> None:
    """What another branch has still to ask again keeps a branch from anything new."""
    plain = Execution.ask

    def ask(self: Execution, *given: Any, **more: Any) -> Any:
        unmade = {position for cursor in self._cursors() for position in cursor.unmade or ()}
        self._main.unmade = unmade or None
        return plain(self, *given, **more)

    patch.setattr(Execution, "ask", ask)


def blocked_until_all_are(patch: Patch) -> None:
    """A call that is due, or whose event came, goes on only when all others of its execution are blocked too."""
    patch.setattr(Frame, "_let_go_on", lambda *_: None)


def new_effects_behind_the_frontier(patch: Patch) -> None:
    """Whether a branch has still recorded calls to ask again is not looked at."""
    patch.setattr(Cursor, "is_behind", False)


def winner_not_recorded(patch: Patch) -> None:
    """Which branch has won a race is not recorded."""
    plain = Execution.tell

    def tell(self: Execution, entry: Any, branch: str = "") -> None:
        if not isinstance(entry, Raced):
            plain(self, entry, branch)

    patch.setattr(Execution, "tell", tell)


def failure_not_held(patch: Patch) -> None:
    """What has failed beside a branch that parks is forgotten."""
    patch.setattr(Execution, "hold", lambda _: None)


def abandoned_left_as_it_is(patch: Patch) -> None:
    """What a branch has done after it had lost its race stays done."""

    async def leave(_: Frame, __: Abandoned) -> None:
        raise asyncio.CancelledError

    patch.setattr(attempts, "undo_abandoned", leave)


def loser_goes_on(patch: Patch) -> None:
    """A branch that has lost its race goes on making calls: none of the guards that a call may meet holds it up."""
    patch.setattr(attempts, "_refuse_stopped", lambda *_: None)
    patch.setattr(attempts, "_refuse_unbegun", lambda *_, **__: None)
    patch.setattr(Frame, "leave_if_stopped", lambda _: None)


def branches_left_behind(patch: Patch) -> None:
    """An execution ends although branches that it has spawned have not."""

    def after_return(self: Dispatcher, frame: Frame, result: Any) -> None:
        self._driver.returned(frame, result)

    patch.setattr(Dispatcher, "_after_return", after_return)


def parked_under_a_running_branch(patch: Patch) -> None:
    """A branch counts only while it is in a durable call."""

    def weigh(self: Branch) -> int:
        before, self.weight = self.weight, 1 if self.calls else 0
        return self.weight - before

    plain = active._end_in

    def end_in(self: active, branch: Branch) -> None:
        plain(self, branch)
        self._frame.weigh(branch)

    patch.setattr(Branch, "weigh", weigh)
    patch.setattr(active, "_end_in", end_in)


def cleared_without_waiting(patch: Patch) -> None:
    """The steps of a gather begin together before what led to it is durable."""

    async def clear(_: Frame, works: branch_tasks.Works) -> None:
        for branch, _work in works:
            branch.cleared = True

    patch.setattr(branch_tasks, "_clear", clear)


def always_the_new_side(patch: Patch) -> None:
    """An execution that had passed the place of a change before takes the new side all the same."""
    patch.setattr(Execution, "patched", lambda *_: (True, None))


def scope_undoes_everything(patch: Patch) -> None:
    """A rejection in a scope undoes what was done outside as well."""
    plain = scope.undo_steps
    patch.setattr(scope, "undo_steps", lambda frame, _: plain(frame))


PURE = "tests/unit/core/test_branches.py::"
SIDE_BY_SIDE = "tests/scenario/test_side_by_side.py::"
SPAWNED = "tests/scenario/test_spawned.py::"
GATHER = "tests/unit/runtime/test_gather.py::"
FOUND_BY = {
    flat_counter: f"{PURE}test_whatever_the_order_of_the_branches_a_replay_answers_each_call_its_own_result",
    frontier_shared: f"{PURE}test_branches_that_are_cut_off_anywhere_go_on_where_each_of_them_was",
    blocked_until_all_are: "tests/scenario/test_beside_running_steps.py::"
    "test_a_sleep_that_is_over_wins_its_race_against_a_step_that_runs",
    new_effects_behind_the_frontier: f"{PURE}test_a_branch_that_has_changed_is_diverged",
    winner_not_recorded: f"{SIDE_BY_SIDE}test_who_has_won_a_race_stays_the_winner_although_another_could_win_now",
    failure_not_held: f"{SIDE_BY_SIDE}test_a_step_that_failed_beside_a_branch_that_waits_is_not_run_again_at_each_wake",
    abandoned_left_as_it_is: f"{SIDE_BY_SIDE}test_the_running_step_of_a_loser_is_finished_abandoned_and_undone",
    loser_goes_on: f"{SIDE_BY_SIDE}test_a_step_of_a_loser_that_had_not_begun_never_does",
    branches_left_behind: f"{SPAWNED}test_an_execution_ends_when_its_spawned_branches_have",
    parked_under_a_running_branch: f"{GATHER}"
    "test_a_foreign_await_in_one_branch_does_not_make_the_execution_park_under_it",
    cleared_without_waiting: "tests/unit/runtime/test_branch_tasks.py::"
    "test_none_begins_before_what_led_to_the_gather_is_durable",
    always_the_new_side: "tests/unit/runtime/test_patched.py::"
    "test_old_journals_go_on_under_new_code_and_new_executions_take_the_new_side",
    scope_undoes_everything: "tests/unit/runtime/test_scope.py::test_scopes_side_by_side_are_aborted_each_alone",
}

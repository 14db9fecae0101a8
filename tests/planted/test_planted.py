"""Bugs planted in the engine: the worlds find each within a stated number of seeds, and for the right reason."""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from onstage.core.execution import Execution, Look, Perform, StepRequest
from onstage.observe.verdict import Verdict
from onstage.runtime import admission, undo, watch
from onstage.runtime.admission import Admission
from onstage.runtime.dispatcher import Dispatcher
from onstage.runtime.driver import Driver
from onstage.runtime.emission import Emission
from onstage.runtime.frame import Frame
from onstage.runtime.mailbox import Mailbox
from onstage.runtime.recovery import Recovery
from onstage.stores.batch import Batch
from onstage.stores.sqlite.writer import Writer
from onstage.testing.world.playing import play

Patch = pytest.MonkeyPatch
SEEDS_MAX = 60


def effects_before_their_cause_is_durable(patch: Patch) -> None:
    async def no_barrier(self: Frame) -> None:
        return None

    patch.setattr(Frame, "barrier", no_barrier)


def answers_before_the_disk(patch: Patch) -> None:
    async def at_once(self: Admission, admitted: Any) -> int:
        process: int = admitted[0]
        return process or await self._process_of(admitted[2])

    patch.setattr(Admission, "stored", at_once)


def nobody_is_recognised_at_the_door(patch: Patch) -> None:
    plain, numbers = admission._door, itertools.count()  # noqa: SLF001
    patch.setattr(admission, "_door", lambda source, name, *rest: plain(source, f"{name}{next(numbers)}", *rest))


def what_had_happened_is_written_again(patch: Patch) -> None:
    patch.setattr(Writer, "_after_doubt", lambda _, commits: commits)


def what_failed_is_given_up(patch: Patch) -> None:
    plain = Writer._postpone  # noqa: SLF001
    patch.setattr(Writer, "_postpone", lambda self, commits, error: plain(self, commits[1:] or commits, error))


def an_old_writer_goes_on(patch: Patch) -> None:
    patch.setattr(Writer, "_check_epoch", lambda _: None)


def waits_are_short(patch: Patch) -> None:
    plain = Execution._open_wait  # noqa: SLF001

    def hasty(self: Execution, *given: Any) -> Look:
        due = plain(self, *given).due
        return Look(None if due is None else due - 700)

    patch.setattr(Execution, "_open_wait", hasty)


def there_are_no_lanes(patch: Patch) -> None:
    plain = Dispatcher.offer

    def offer(self: Dispatcher, delivery: Any) -> None:
        delivery.lane = None
        plain(self, delivery)

    patch.setattr(Dispatcher, "offer", offer)


def lanes_stay_closed(patch: Patch) -> None:
    patch.setattr(Dispatcher, "release_lane", lambda *_: None)


def sleepers_are_forgotten_at_the_start(patch: Patch) -> None:
    def park(self: Recovery, delivery: Any, view: Any) -> None:
        delivery.parked, delivery.due = True, view.due

    patch.setattr(Recovery, "_park", park)


def early_mail_is_lost(patch: Patch) -> None:
    plain = Mailbox.find

    async def find(self: Mailbox, frame: Frame, types: Any, since: int) -> Any:
        return await plain(self, frame, types, since) if frame.delivery.nudged else None

    patch.setattr(Mailbox, "find", find)


def listeners_stay(patch: Patch) -> None:
    patch.setattr(Mailbox, "leave", lambda *_: None)


def recorded_steps_run_again(patch: Patch) -> None:
    plain = Execution.ask

    def ask(self: Execution, position: str, request: Any, now_ms: int, *, aside: bool = False) -> Any:
        answer = plain(self, position, request, now_ms, aside=aside)
        is_recorded = isinstance(request, StepRequest) and type(answer).__name__ == "Recorded"
        return Perform(1, begun=True) if is_recorded and position.startswith("charge") else answer

    patch.setattr(Execution, "ask", ask)


def the_last_handler_is_left_out(patch: Patch) -> None:
    plain = Emission._open  # noqa: SLF001

    def some(self: Emission, route: Any, *rest: Any) -> int:
        triggers, route.triggers = route.triggers, route.triggers[:2]
        try:
            return plain(self, route, *rest)
        finally:
            route.triggers = triggers

    patch.setattr(Emission, "_open", some)


def a_receipt_is_wrong(patch: Patch) -> None:
    plain = Driver._delta  # noqa: SLF001

    def delta(self: Driver, frame: Frame, status: Any, emission: Any) -> bytes:
        right = plain(self, frame, status, emission)
        return bytes(16) if frame.reaction.name == "shop.note" else right

    patch.setattr(Driver, "_delta", delta)


def waiting_is_called_completed(patch: Patch) -> None:
    plain = watch.judge

    def judge(*facts: Any) -> Verdict:
        verdict = plain(*facts)
        return Verdict("completed", "x") if verdict.status == "waiting" else verdict

    patch.setattr(watch, "judge", judge)


def nothing_is_undone(patch: Patch) -> None:
    async def skip(*_: Any) -> None:
        return None

    patch.setattr(undo, "_undo", skip)


def a_failure_in_a_branch_is_for_ever(patch: Patch) -> None:
    plain = Execution.ask
    patch.setattr(Execution, "ask", lambda self, position, request, now_ms, **_: plain(self, position, request, now_ms))


def undo_begins_with_the_first_step(patch: Patch) -> None:
    patch.setattr(undo, "reversed", iter, raising=False)


def an_entry_is_dropped(patch: Patch) -> None:
    plain = Batch._settle  # noqa: SLF001

    def settle(self: Batch, commit: Any) -> None:
        if commit.status == 6 and commit.entries:
            commit.entries = commit.entries[:-1]
        plain(self, commit)

    patch.setattr(Batch, "_settle", settle)


PLANTED: list[tuple[Callable[[Patch], None], set[str]]] = [
    (effects_before_their_cause_is_durable, {"barrier"}),
    (answers_before_the_disk, {"I10"}),
    (nobody_is_recognised_at_the_door, {"I10"}),
    (what_had_happened_is_written_again, {"I2", "I12", "I10", "world", "liveness", "I1"}),
    (what_failed_is_given_up, {"I1", "I10", "world", "liveness", "I12"}),
    (an_old_writer_goes_on, {"I9"}),
    (waits_are_short, {"I8"}),
    (there_are_no_lanes, {"I4"}),
    (lanes_stay_closed, {"liveness"}),
    (sleepers_are_forgotten_at_the_start, {"liveness"}),
    (early_mail_is_lost, {"I1"}),
    (listeners_stay, {"I15"}),
    (recorded_steps_run_again, {"I3"}),
    (the_last_handler_is_left_out, {"I1"}),
    (a_receipt_is_wrong, {"I12"}),
    (waiting_is_called_completed, {"I7"}),
    (nothing_is_undone, {"I3", "I6"}),
    (a_failure_in_a_branch_is_for_ever, {"liveness"}),
    (undo_begins_with_the_first_step, {"I6"}),
    (an_entry_is_dropped, {"I13", "I3", "I2", "world", "liveness"}),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("plant", "reasons"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], reasons: set[str], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        violations = play(seed).violations
        if violations:
            found = {what.partition(":")[0] for what in violations}
            assert found & reasons, f"found by seed {seed}, for another reason: {violations[:3]}"
            return
    raise AssertionError(f"not found in {SEEDS_MAX} worlds")

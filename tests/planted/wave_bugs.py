"""Bugs planted in what undoes processes: the decision, what stops, the order, what is due, what is told."""

from collections.abc import Callable
from typing import Any

import pytest

from onstage.core.commit import Commit
from onstage.core.journal import Begun
from onstage.core.segments import Segment
from onstage.runtime import process_monitor, undo, undo_runs, wave_run, wire
from onstage.runtime.completion import Completions
from onstage.runtime.wave_links import WaveLinks
from onstage.runtime.wave_run import WaveRun
from onstage.runtime.waves import Waves
from onstage.runtime.waves_apart import WavesApart
from onstage.stores import batch
from onstage.stores.undo_decisions import UndoDecisions
from onstage.stores.versioned_rows import VersionedRows

Patch = pytest.MonkeyPatch
ENGINE = "tests/processes/test_undone_engine.py::test_a_handful_of_worlds_is_as_all_are"
SCENES = "tests/scenario/test_undone.py"
APART = "tests/scenario/test_undone_apart.py"
OR_NOT = "tests/scenario/test_undone_or_not.py"


def no_tombstone(patch: Patch) -> None:
    """What had not begun when its process was undone begins all the same."""
    plain = Waves.stops
    patch.setattr(Waves, "stops", lambda self, delivery: delivery.resumed and plain(self, delivery))


def undone_before_what_it_caused(patch: Patch) -> None:
    """An undo does not wait for those of what it led to."""
    patch.setattr(WaveRun, "_edges", lambda *_: [])


def wave_by_execution(patch: Patch) -> None:
    """An execution is undone as a whole: where it asked, it and who answered wait for each other."""
    plain = wave_run.segments_of

    def whole(journal: Any) -> list[Segment]:
        *earlier, last = plain(journal)
        outputs = tuple(n for each in (*earlier, last) for n in each.outputs)
        return [*(each._replace(outputs=()) for each in earlier), last._replace(outputs=outputs)]

    patch.setattr(wave_run, "segments_of", whole)


def doubt_forgotten(patch: Patch) -> None:
    """A step that was begun and not recorded is taken for one that was not done."""
    for module in (wave_run, undo_runs):
        plain = module.segments_of

        def known(journal: Any, plain: Callable[[Any], list[Segment]] = plain) -> list[Segment]:
            return [
                each._replace(dues=tuple(due for due in each.dues if not isinstance(due.entry, Begun)))
                for each in plain(journal)
            ]

        patch.setattr(module, "segments_of", known)


def exempt_forgotten(patch: Patch) -> None:
    """What follows from the outcome that decided is stopped with the rest."""
    plain = Waves._heard

    def heard(self: Waves, row: Any) -> None:
        self._candidates.clear()
        plain(self, row)

    patch.setattr(Waves, "_heard", heard)


def decided_twice(patch: Patch) -> None:
    """The store takes a second first row: a cancel after a pivot, a pivot after a cancel."""
    patch.setattr(VersionedRows, "are_overtaken", lambda *_: False)


def looked_before_it_was_durable(patch: Patch) -> None:
    """A wave looks when a commit of its process was appended, and not again when that is on disk."""
    plain = Waves.appended

    def appended(self: Waves, commit: Commit, position: int) -> None:
        plain(self, commit, 0)

    patch.setattr(Waves, "appended", appended)


def own_steps_first(patch: Patch) -> None:
    """Who rejects undoes its own steps at once, before those of what it led to."""

    async def takes_over(self: Waves, frame: Any) -> bool:
        return self.stops(frame.delivery)

    patch.setattr(Waves, "takes_over", takes_over)


def elsewhere_forgotten(patch: Patch) -> None:
    """What an event led to in other stores is not asked for."""

    async def elsewhere(*_: Any) -> list[Any]:
        return []

    patch.setattr(WaveLinks, "elsewhere", elsewhere)


def answered_at_once(patch: Patch) -> None:
    """A part says that an edge is undone when it is asked for it."""
    plain = WaveLinks._feed_asked

    async def feed_asked(self: WaveLinks, wave: Any, asked: Any) -> None:
        await plain(self, wave, asked)
        for edge in tuple(self._asked):
            self.answer(edge, (), did=True)

    patch.setattr(WaveLinks, "_feed_asked", feed_asked)


def asked_in_each_life(patch: Patch) -> None:
    """What was sent to other stores is forgotten with the life that sent it."""
    plain = WaveLinks.feed

    async def feed(self: WaveLinks, wave: Any) -> None:
        sent = set(self._sent)
        await plain(self, wave)
        self._sent = sent

    patch.setattr(WaveLinks, "feed", feed)


def outcome_not_passed_on(patch: Patch) -> None:
    """Events do not say from which outcome they follow, so other stores stop what follows from it."""
    patch.setattr(wire, "FOLLOWS_MAX", 0)


def pivot_granted_by_itself(patch: Patch) -> None:
    """A store grants a pivot for a process that another one decides about."""
    patch.setattr(WavesApart, "is_own", lambda *_: True)


def only_what_was_done_before(patch: Patch) -> None:
    """What begins after the outcome that asks for it is not undone."""

    def began(_: UndoDecisions, process: Any, now_ms: int) -> None:
        process.undoable = 1

    patch.setattr(UndoDecisions, "began", began)


def undone_for_nothing(patch: Patch) -> None:
    """Any step counts as one that can be undone."""
    patch.setattr(batch, "can_be_undone", bool)


def skipped_for_nothing(patch: Patch) -> None:
    """What an operator said of an undo is not looked at: it is tried again, in vain."""
    patch.setattr(undo_runs, "is_skipped", lambda *_: False)
    patch.setattr(undo, "is_skipped", lambda *_: False)


def skipped_on_time(patch: Patch) -> None:
    """What an operator said of a step is looked at when its next attempt is due, and not before."""
    patch.setattr(Completions, "knows", lambda *_: False)


def never_given_up(patch: Patch) -> None:
    """An undo that fails waits for an operator, whatever the process declares."""

    async def drop_if_given_up(*_: Any) -> bool:
        return False

    patch.setattr(wave_run, "drop_if_given_up", drop_if_given_up)


def undoing_told_as_news(patch: Patch) -> None:
    """A monitor tells of a process that is undone that it went on, was late, and ended."""

    async def unless_undone(told: Any, _: Any) -> Any:
        return told

    patch.setattr(process_monitor, "unless_undone", unless_undone)


BY_HAND = "tests/scenario/test_undone_by_hand.py"
FOUND_BY: dict[Callable[[Patch], None], str] = {
    no_tombstone: "tests/unit/runtime/test_waves.py::test_an_event_for_a_process_that_was_undone_is_skipped",
    undone_before_what_it_caused: ENGINE,
    wave_by_execution: ENGINE,
    doubt_forgotten: f"{SCENES}::test_a_step_in_doubt_is_brought_to_its_end_under_its_own_key_and_undone",
    exempt_forgotten: f"{SCENES}::test_the_customer_is_told_and_that_is_not_undone",
    only_what_was_done_before: f"{OR_NOT}::test_what_is_done_later_is_undone",
    undone_for_nothing: f"{OR_NOT}::test_where_nothing_can_be_undone_an_outcome_is_an_outcome_and_nothing_is_stopped",
    decided_twice: "tests/contract/test_stores.py::TestMemoryStore::"
    "test_the_first_row_decides_whether_a_process_is_undone",
    looked_before_it_was_durable: f"{SCENES}::test_whatever_dies_on_the_way",
    elsewhere_forgotten: f"{APART}::test_all_is_undone_after_what_it_caused",
    answered_at_once: f"{APART}::test_nothing_is_undone_before_what_it_caused_in_another_service",
    asked_in_each_life: "tests/unit/runtime/test_wave_links.py::test_an_edge_is_asked_for_once_in_whatever_life",
    outcome_not_passed_on: "tests/unit/runtime/test_waves_apart.py::"
    "test_what_follows_from_an_outcome_says_so_and_what_does_not_says_nothing",
    pivot_granted_by_itself: f"{APART}::test_a_pivot_waits_for_the_owner_and_then_nothing_is_undone",
    skipped_for_nothing: f"{BY_HAND}::test_an_undo_that_cannot_be_done_is_skipped_and_the_process_is_compensated",
    skipped_on_time: f"{BY_HAND}::test_a_step_that_waits_for_its_next_attempt_does_not_wait_for_it_once_it_is_skipped",
    never_given_up: f"{BY_HAND}::"
    "test_a_process_declared_so_goes_on_without_an_undo_that_fails_and_its_residue_is_resolved",
    undoing_told_as_news: "tests/scenario/test_undone_watched.py::"
    "test_of_an_undo_by_hand_its_end_before_and_its_undoing_are_told_and_nothing_between",
    own_steps_first: f"{SCENES}::test_all_that_was_done_is_undone_once_and_after_what_it_caused",
}

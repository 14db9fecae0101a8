"""Bugs planted in the web UI and in the audit log; each is found by the test that is named for it."""

from typing import Any

import pytest

from onstage.cli import serve_ui
from onstage.runtime.audit import AuditTrail
from onstage.testing.sim_faults import Faults
from onstage.web import export, live, process_list, security, type_shapes
from onstage.web.live import Live
from onstage.web.page_reader import PageReader

Patch = pytest.MonkeyPatch


def csrf_value_not_compared(patch: Patch) -> None:
    """Whatever the CSRF header says will do."""
    patch.setattr(security, "_is_ours", lambda *_: True)


def any_name_is_ours(patch: Patch) -> None:
    """The UI answers under whatever name it is asked."""
    patch.setattr(security, "is_loopback", lambda _: True)


def open_door(patch: Patch) -> None:
    """Any address is bound without a token."""
    patch.setattr(serve_ui, "_refuse_open_door", lambda *_: None)


def written_down_afterwards(patch: Patch) -> None:
    """An action is written down once it is done."""

    async def of(self: AuditTrail, by: str | None, action: str, target: object, act: Any) -> Any:
        result = await act()
        if by is not None:
            await plain(self, by, action, target, lambda: _answered(result))
        return result

    plain = AuditTrail.of
    patch.setattr(AuditTrail, "of", of)


async def _answered(result: Any) -> Any:
    return result


def lane_not_looked_at(patch: Patch) -> None:
    """On a page, nothing ever stands ahead of anything."""

    async def ahead(self: PageReader, execution: int, **_: Any) -> None:
        return None

    patch.setattr(PageReader, "ahead", ahead)


def verdict_not_looked_at(patch: Patch) -> None:
    """A list takes the candidates of a verdict for those that have it."""
    patch.setattr(process_list, "_search", lambda *_: process_list._Search("list_all", {}, walks=True))
    plain = process_list._row

    async def row(store: Any, view: Any, live_: Any, wanted: Any) -> Any:
        return await plain(store, view, live_, type(wanted)(q=wanted.q, type=wanted.type))

    patch.setattr(process_list, "_row", row)


def missed_is_not_told(patch: Patch) -> None:
    """Whoever comes back to the stream begins with what happens next."""
    patch.setattr(Live, "_news", lambda *_: [])


def every_commit_changes_every_topic(patch: Patch) -> None:
    """A process is said to have changed whenever anything has."""

    async def mark(store: Any, topic: str) -> object:
        return object()

    patch.setattr(live, "_mark_of", mark)


def copied_without_its_steps(patch: Patch) -> None:
    """A test made of a history does not know what steps answered."""
    patch.setattr(export, "_recorded", lambda *_: iter(()))


def history_told_to_the_wrong_execution(patch: Patch) -> None:
    """What a step answered is told to every execution, the first one's to all."""
    plain = Faults._told

    def told(self: Faults, step: Any, frame: Any, position: str) -> Any:
        left = self.recorded[frame.reaction.name, position]
        left.extendleft([left[0]] if left else [])
        return plain(self, step, frame, position)

    patch.setattr(Faults, "_told", told)


def shapes_compared_by_version(patch: Patch) -> None:
    """A type that is still the same version is taken to have the same shape."""
    patch.setattr(type_shapes, "changes_to", lambda shape, earlier: () if shape.version == earlier.version else None)


_WEB = "tests/unit/web/"

FOUND_BY = {
    csrf_value_not_compared: f"{_WEB}test_security.py::test_nothing_is_changed_without_the_value_of_this_browser",
    any_name_is_ours: f"{_WEB}test_security.py::test_without_a_token_it_answers_on_this_machine_only",
    open_door: "tests/unit/cli/test_serve_ui.py::test_an_open_door_without_a_token_is_refused_in_three_lines",
    written_down_afterwards: "tests/unit/runtime/test_audit.py::test_the_row_is_appended_before_the_action",
    lane_not_looked_at: f"{_WEB}test_page_reader.py::test_who_queues_behind_a_dead_letter_is_found_among_the_stuck",
    verdict_not_looked_at: f"{_WEB}test_process_list.py::test_a_verdict_is_a_filter",
    missed_is_not_told: f"{_WEB}test_live.py::test_who_comes_back_is_told_what_they_missed",
    every_commit_changes_every_topic: f"{_WEB}test_live.py::test_a_topic_is_told_when_it_changed_and_only_then",
    copied_without_its_steps: f"{_WEB}test_export.py::test_steps_answer_as_they_did_and_nothing_outside_is_touched",
    history_told_to_the_wrong_execution: "tests/unit/testing/test_retelling.py::test_each_execution_takes_one",
    shapes_compared_by_version: f"{_WEB}test_type_shapes.py::test_a_contract_that_was_broken_needs_somebody",
}
"""Which test finds each."""

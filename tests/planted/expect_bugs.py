"""Bugs of expectations, and of what is said never to happen."""

from typing import Any

import pytest

from onstage.observe import marking
from onstage.observe.marking import Mark, RuleBook
from onstage.observe.possible import Possible
from onstage.runtime import calls
from onstage.runtime.hopeless_waits import HopelessWaits
from onstage.testing.sim_expectations import Judge

Patch = pytest.MonkeyPatch


def rule_answered_by_what_came_before(patch: Patch) -> None:
    """`leads_to` is content with a `B` that stands before its `A`."""
    plain = marking._leads_to

    def leads_to(rule: Any, mark: Mark, event: Any) -> Any:
        mark.happened |= event.type in rule.to
        return None if mark.happened else plain(rule, mark, event)

    patch.setattr(marking, "_leads_to", leads_to)


def rule_forgotten_at_the_end(patch: Patch) -> None:
    """What is missing when a process ends is never said."""
    patch.setattr(RuleBook, "end", lambda *_: [])


def violation_in_tests_swallowed(patch: Patch) -> None:
    """A violation does not fail a simulated test."""

    async def nothing(*_: Any) -> None:
        return None

    patch.setattr(Judge, "refuse_violations", nothing)


def wait_failed_too_early(patch: Patch) -> None:
    """Only what open handlers emit themselves can still happen, not what follows from it."""
    patch.setattr(Possible, "_after", lambda self, node: frozenset(self._graph.after(node)))


def wait_never_failed(patch: Patch) -> None:
    """Nobody who waits is told that it is in vain."""
    patch.setattr(HopelessWaits, "_tell", lambda *_: None)


def hopeless_wait_not_recorded(patch: Patch) -> None:
    """That a wait was in vain is not in the journal, so that a replay waits again."""
    patch.setattr(calls, "WaitHopeless", lambda position: calls.Valued(f"{position}/lost", b"null"))

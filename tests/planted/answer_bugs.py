"""Bugs planted in requests, workflows and cancellations; each is found by the test that is named for it."""

from typing import Any

import pytest

from onstage.core.execution import Execution
from onstage.core.journal import CancelSeen
from onstage.runtime import asking, attempts, cancelling, gather
from onstage.runtime.cancelling import Marks
from onstage.runtime.mailbox import Mailbox
from onstage.runtime.replies import Replies

Patch = pytest.MonkeyPatch


def answer_looked_for_before_listening(patch: Patch) -> None:
    """Whoever asks does not listen: what comes after the look wakes nobody."""
    patch.setattr(Mailbox, "listen_for_answer", lambda *_: None)


def failure_taken_for_a_value(patch: Patch) -> None:
    """The failure in an answer is not looked at."""

    def response(request: str, data: bytes, codec: Any) -> Any:
        return bytes(asking._DECODE(data).value).decode()

    patch.setattr(asking, "response_in", response)


def answer_to_another_request_taken(patch: Patch) -> None:
    """What an answer is about is not looked at: the oldest one there is is taken."""
    plain = Mailbox.answer

    async def answer(self: Mailbox, about: int) -> Any:
        found = [event for n in range(1, about + 1) if (event := await plain(self, n)) is not None]
        return found[0] if found else None

    patch.setattr(Mailbox, "answer", answer)


def children_left_alone(patch: Patch) -> None:
    """A cancel reaches the execution it was asked for, and no child."""
    patch.setattr(cancelling, "_awaited", lambda _: {})


def cancel_told_again(patch: Patch) -> None:
    """That the code was told of a cancel is not remembered: its clean-up is cancelled as well."""
    plain = Execution._record

    def record(self: Execution, entry: Any) -> None:
        plain(self, entry)
        if isinstance(entry, CancelSeen):
            self.cancels = {}

    patch.setattr(Execution, "_record", record)


def cancel_told_to_one_branch(patch: Patch) -> None:
    """Once one branch was told, the others are not."""
    plain = attempts.is_due

    def is_due(frame: Any, branch: Any) -> bool:
        return plain(frame, branch) and not frame.execution.cancels

    patch.setattr(attempts, "is_due", is_due)


def cancel_of_a_branch_not_passed_on(patch: Patch) -> None:
    """That a branch's `Cancelled` came to the one that waited is not remembered: it is told again."""
    patch.setattr(gather, "pass_on", lambda *_: None)


def marks_forgotten_at_a_start(patch: Patch) -> None:
    """A cancel that was promised is not read again after a restart."""

    async def load(self: Marks) -> None:
        return None

    patch.setattr(Marks, "load", load)


def only_present_waiters_told(patch: Patch) -> None:
    """Whoever begins to wait between an answer and its being durable is never told."""
    plain = Replies.arrived

    def arrived(self: Replies, position: int, about: int) -> None:
        if about in self._waiters:
            plain(self, position, about)

    patch.setattr(Replies, "arrived", arrived)

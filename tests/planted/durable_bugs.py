"""Bugs planted in keyed state, long steps, completions from outside, and sealed payloads."""

from typing import Any

import pytest

from onstage.contracts import handler
from onstage.core.commit import StateWrite
from onstage.ports import payload_codec
from onstage.runtime.completion import Completions
from onstage.runtime.frame import Frame
from onstage.runtime.long_step import Attempt
from onstage.stores import sealed_store
from onstage.stores.batch import Batch

Patch = pytest.MonkeyPatch


def state_lanes_apart(patch: Patch) -> None:
    """Handlers that keep state do not take turns by key."""
    patch.setattr(handler, "keeps_state", lambda _: False)


def state_version_not_checked(patch: Patch) -> None:
    """The store writes a state whatever version it has by then."""

    def version(_: Batch, new: StateWrite) -> int:
        return new.expected

    patch.setattr(Batch, "_version", version)


def completion_not_looked_for(patch: Patch) -> None:
    """What was completed before the node died wakes nobody when it starts again."""

    def wake(_: Completions) -> None:
        return None

    patch.setattr(Completions, "wake", wake)


def completion_kept(patch: Patch) -> None:
    """What the step has taken stays in the store."""
    plain = Completions.take

    def take(self: Completions, frame: Frame, *rest: Any) -> Any:
        outcome = plain(self, frame, *rest)
        frame.along = None
        return outcome

    patch.setattr(Completions, "take", take)


def heartbeat_unheard(patch: Patch) -> None:
    """A heartbeat gives no more time."""

    def heard(*_: Any) -> None:
        return None

    patch.setattr(Attempt, "_heard", heard)


def heartbeat_forgotten(patch: Patch) -> None:
    """What a heartbeat said is not kept."""

    def note(_: Attempt) -> None:
        return None

    patch.setattr(Attempt, "_note", note)


def payload_not_bound(patch: Patch) -> None:
    """A sealed payload opens wherever it is moved."""
    patch.setattr(payload_codec, "_associated", lambda _: b"")


def journal_not_sealed(patch: Patch) -> None:
    """Results and arguments are stored as they are."""
    patch.setattr(sealed_store, "PAYLOAD_FIELDS", ())

"""Bugs planted in forks, shared children, schedules that cancel, and events that find a workflow by its key."""

from typing import Any

import pytest

from onstage.core import execution
from onstage.core.commit import Note
from onstage.core.journal import Forked
from onstage.runtime import admission, asking, cancelling, forking, operations, recovery, scheduler, subscriptions
from onstage.runtime.mailbox import Mailbox
from onstage.runtime.scheduler import Scheduler

Patch = pytest.MonkeyPatch


def fork_takes_over_nothing(patch: Patch) -> None:
    """A fork runs from its first line."""
    patch.setattr(forking, "taken_over", lambda _, step: (step, ()))


def fork_with_keys_of_its_own(patch: Patch) -> None:
    """What a fork took over is undone under keys that nobody has seen."""

    def key_holders(entry: Forked, *_: Any) -> dict[str, str]:
        return {}

    patch.setattr(execution, "key_holders", key_holders)


def forked_original_goes_on(patch: Patch) -> None:
    """An original that was forked is retried and cancelled like any other."""

    async def refuse_nothing(*_: Any) -> None:
        return None

    patch.setattr(cancelling, "refuse_if_forked", refuse_nothing)
    patch.setattr(operations, "refuse_if_forked", refuse_nothing)


def child_without_an_identity(patch: Patch) -> None:
    """The id of a child is its key and nothing else."""
    patch.setattr(asking, "door_of", lambda *_: None)


def joined_run_not_heard(patch: Patch) -> None:
    """Whoever joined a run is not told that it has ended."""
    plain = Mailbox.listen_for_answer

    def listen(self: Mailbox, delivery: Any, about: int, type_name: str, *, joined: bool = False) -> None:
        if not joined:
            plain(self, delivery, about, type_name)

    patch.setattr(Mailbox, "listen_for_answer", listen)


def joined_run_forgotten_at_a_start(patch: Patch) -> None:
    """Whoever joined a run in an earlier life listens at its own mailbox only."""

    async def rejoin(_: Any) -> None:
        return None

    patch.setattr(recovery, "rejoin", rejoin)


def retired_in_silence(patch: Patch) -> None:
    """Nobody says that a request will never be answered."""
    patch.setattr(subscriptions, "write_off_said", lambda *_: None)


def workflow_not_looked_for(patch: Patch) -> None:
    """Events from outside join declared processes only."""

    async def nothing(_node: Any, _route: Any, _key: str | None, joined: int) -> int:
        return joined

    patch.setattr(admission, "workflow_joined", nothing)


def other_run_not_cancelled(patch: Patch) -> None:
    """A run that is due cancels nothing."""
    patch.setattr(Scheduler, "_cancelled_by_next", lambda *_, **__: ())


def cancel_of_the_other_run_beside_the_commit(patch: Patch) -> None:
    """The run before is told of its cancel, and no row says so."""
    patch.setattr(scheduler, "cancel_note", lambda execution: Note("nothing", execution, b""))

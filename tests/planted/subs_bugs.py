"""Bugs planted in history, replays, retirements, and in what lifts older versions."""

from typing import Any

import msgspec
import pytest

from onstage.events.event import EventType
from onstage.events.ways import Ways
from onstage.runtime import history, subscriptions
from onstage.runtime.delivery import Reaction
from onstage.runtime.history import History
from onstage.runtime.step import Durable
from onstage.stores.batch import Batch

Patch = pytest.MonkeyPatch


def begun_history_taken_for_complete(patch: Patch) -> None:
    """A course that had come somewhere before a restart is not gone on with."""
    plain = history.courses_in

    async def courses_in(reader: Any) -> Any:
        found = await plain(reader)
        return {n: msgspec.structs.replace(c, ended=c.ended or c.after) for n, c in found.items()}

    patch.setattr(history, "courses_in", courses_in)


def history_reopens(patch: Patch) -> None:
    """What is delivered late gates, though its process has ended."""
    plain = History._oblige

    async def oblige(self: History, reaction: Any, event: Any, emission: Any, skipped: Any) -> None:
        await plain(self, reaction, event, emission, skipped)
        delivery = emission.deliveries[-1]
        if not delivery.gating:
            delivery.gating = emission.opened[-1].gating = True
            emission.receipts.append(self._opened(delivery))

    patch.setattr(History, "_oblige", oblige)


def newer_events_overtake_history(patch: Patch) -> None:
    """Newer events of a key do not wait for the older ones."""
    plain = History.load

    async def load(self: History) -> None:
        await plain(self)
        for reaction in self._node.reactions.values():
            reaction.behind = 0

    patch.setattr(History, "load", load)


def replay_gates(patch: Patch) -> None:
    """The outputs of a replay belong to the process that has ended."""
    plain = Reaction.__init__

    def init(self: Reaction, handler: Any, number: int, retry: Any, *, generation: int = 0) -> None:
        plain(self, handler, number, retry, generation=generation)
        self.gating = handler.gating

    patch.setattr(Reaction, "__init__", init)
    replayed = History._oblige

    async def oblige(self: History, reaction: Any, event: Any, emission: Any, skipped: Any) -> None:
        await replayed(self, reaction, event, emission, skipped)
        emission.deliveries[-1].gating = True

    patch.setattr(History, "_oblige", oblige)


def retired_under_its_last_name(patch: Patch) -> None:
    """A write-off closes the token of the present name, whatever the obligation was opened with."""

    async def signed(*_: Any) -> None:
        return None

    patch.setattr(subscriptions, "_signed", signed)


def write_off_leaves_the_rest(patch: Patch) -> None:
    """Only the first page is written off."""
    plain = subscriptions._write_off

    async def write_off(node: Any, number: int, name: str, processes: set[int]) -> int:
        reader = node.store.reader
        asked = type(reader).executions
        pages = iter((True, False))

        async def executions(self: Any, **options: Any) -> Any:
            return await asked(self, **options) if next(pages, False) else []

        with pytest.MonkeyPatch.context() as once:
            once.setattr(type(reader), "executions", executions)
            return await plain(node, number, name, processes)

    patch.setattr(subscriptions, "_write_off", write_off)


def one_way_is_enough(patch: Patch) -> None:
    """A value is lifted by one version, however old it is."""
    plain = Ways.lift
    patch.setattr(Ways, "lift", lambda self, data, version, newest: plain(self, data, max(version, newest - 1), newest))


def event_taken_as_it_is(patch: Patch) -> None:
    """An event of an older version is decoded as if it were of the newest."""

    def read(self: EventType, data: bytes, version: int) -> Any:
        return self.decode(data)

    patch.setattr(EventType, "read", read)


def result_taken_as_it_is(patch: Patch) -> None:
    """A recorded result of an older version likewise."""

    def recorded_result(self: Durable[Any], data: bytes, version: int) -> Any:
        return self.result_codec.read(data)

    patch.setattr(Durable, "recorded_result", recorded_result)


def named_handler_not_stored(patch: Patch) -> None:
    """The name of a replay is not written."""
    patch.setattr(Batch, "add", _without_names(Batch.add))


def _without_names(plain: Any) -> Any:
    def add(self: Batch, commits: Any) -> None:
        for commit in commits:
            commit.handlers = ()
        plain(self, commits)

    return add

"""Bugs planted in what stores ask of each other: requests, wants of answers, cancels."""

from itertools import count
from typing import Any

import pytest

from onstage.core.commit import Door
from onstage.runtime import asking_elsewhere
from onstage.runtime.asked_from_elsewhere import AskedFromElsewhere
from onstage.runtime.asking_elsewhere import AskingElsewhere

Patch = pytest.MonkeyPatch


def cancel_ahead_forgotten(patch: Patch) -> None:
    """A cancel that comes before its start is not looked for when that comes."""
    patch.setattr(AskedFromElsewhere, "doomed", lambda *_: None)


def child_elsewhere_not_told(patch: Patch) -> None:
    """The mark of a child that runs on another store is never sent there."""
    patch.setattr(AskingElsewhere, "cancels", lambda *_: None)


def want_before_its_request_dropped(patch: Patch) -> None:
    """A want whose request is not there yet is forgotten."""
    plain = AskedFromElsewhere._serve

    async def serve(self: AskedFromElsewhere, want: Any) -> None:
        if await self.find(want.name) is not None:
            await plain(self, want)

    patch.setattr(AskedFromElsewhere, "_serve", serve)


def names_drawn_anew(patch: Patch) -> None:
    """A request gets another name wherever it is asked."""
    plain, drawn = asking_elsewhere.door_of, count()

    def door_of(source: str, id: str, type_name: str, data: bytes) -> Door:
        return plain(f"{source}/{next(drawn)}", id, type_name, data)

    patch.setattr(asking_elsewhere, "door_of", door_of)


def deadline_left_behind(patch: Patch) -> None:
    """A request travels without its deadline."""
    plain = AskingElsewhere.begin

    async def begin(self: AskingElsewhere, *given: Any) -> str:
        return await plain(self, *given[:-1], None)

    patch.setattr(AskingElsewhere, "begin", begin)


def payload_not_compared_from_afar(patch: Patch) -> None:
    """Whoever wants an answer gets that of its id, whatever it has asked."""
    plain = AskedFromElsewhere._bring

    async def bring(self: AskedFromElsewhere, want: Any, n: int) -> None:
        await plain(self, type(want)(want.name, want.service), n)

    patch.setattr(AskedFromElsewhere, "_bring", bring)

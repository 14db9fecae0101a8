"""What outlives a journal that begins anew (`continue_as_new`): steps to be undone, what is shown, where it began.

An undo that was done before is not kept, so that a scope that was rejected is not undone a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import msgspec

from onstage.core.journal import Abandoned, Continued, StateSet, Stepped, Undone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.core.journal import Entry

__all__ = ["Renewal", "renewed"]


@final
class Renewal(msgspec.Struct, frozen=True):
    """The newest entry with which the journal began anew, and how long it was until then.

    `finished` are the steps of before that have an undo which was not run, `shown` is the live state of before.
    """

    entry: Continued
    length: int
    finished: tuple[Stepped | Abandoned, ...]
    shown: dict[str, bytes]


def renewed(earlier: Renewal | None, recorded: Mapping[str, Entry], entry: Continued, length: int) -> Renewal:
    """What is left of the entries `recorded` since the `earlier` beginning, when the journal has this `length`."""
    finished = () if earlier is None else earlier.finished
    shown = {} if earlier is None else dict(earlier.shown)
    for old in recorded.values():
        if isinstance(old, StateSet):
            shown[old.key] = old.value
        is_undone = isinstance(recorded.get(f"undo/{old.position}"), Undone)
        if isinstance(old, Stepped | Abandoned) and old.undo is not None and not is_undone:
            finished = (*finished, msgspec.structs.replace(old, position=f"{length}/{old.position}"))
    return Renewal(entry, length, finished, shown)

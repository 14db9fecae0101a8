"""Forks: what a new execution takes over from the journal of another one, up to a call that is made anew.

Theory of operation. Each prefix of a journal is a state that a crash could have left behind, so replay goes on from it.
The cut is made at positions: what was recorded first before the chosen call was, is taken over with its end, even if
that came later in another branch; what came first after it is left out. A step that had not ended is left out as well,
it runs anew. A request that was not answered, or a step that somebody outside has in hand, is not started a second
time: such a fork is refused, and so is one that would rely on a step that was undone since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from onstage.core.branches import path_of
from onstage.core.journal import (
    Abandoned,
    Asked,
    Attempted,
    Begun,
    CancelSeen,
    Continued,
    Entry,
    Forked,
    HandedOver,
    Held,
    Patched,
    Rejected,
    TokenDrawn,
    Undone,
)
from onstage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from onstage.core.renewal import Renewal

__all__ = ["FORKED", "FROM_END", "forks_in", "key_holders", "renewed_holders", "taken_over"]

FORKED: Final = "forked"
"""The topic of the notes on executions that were forked, by their number; each holds the public ids of the forks."""
FROM_END: Final = "end"
"""Names no call: all that has ended is taken over."""
NAMED_MAX: Final = 20
"""So many calls are listed to whoever named one that there is not."""
_NO_CALLS: Final = (Undone, Rejected, Patched, TokenDrawn, CancelSeen, Continued, Forked)
_STEPS: Final = (Begun, Attempted, Held)
_DECODE: Final = msgspec.msgpack.Decoder(list[str]).decode


def forks_in(body: bytes) -> list[str]:
    """The public ids of the forks in a note, the oldest first."""
    return _DECODE(body)


def taken_over(journal: Sequence[Entry], step: str) -> tuple[str, tuple[Entry, ...]]:
    """The position from which everything is done anew (`FROM_END`: nothing is), and the entries that are taken over.

    `step` is a position (`ship#0`, `gather#0/1/ship#0`), or its name if only one call has it. In a journal that began
    anew only calls since then can be chosen. Raises UsageError.
    """
    begun = 1 + max((at for at, entry in enumerate(journal) if isinstance(entry, Continued)), default=-1)
    before, rest = journal[:begun], journal[begun:]
    first: dict[str, int] = {}
    newest: dict[str, Entry] = {}
    for at, entry in enumerate(rest):
        first.setdefault(entry.position, at)
        newest[entry.position] = entry
    cut = _chosen(newest, step)
    end = len(rest) if cut == FROM_END else first[cut]
    kept = {position for position, at in first.items() if at < end}
    kept |= {f"undo/{position}" for position in kept if isinstance(newest[position], Abandoned)}
    _refuse_impossible(newest, kept, cut)
    left_out = {position for position in kept if isinstance(newest.get(position), _STEPS)}
    copied = (e for e in rest if e.position in kept and e.position not in left_out and not isinstance(e, TokenDrawn))
    return cut, (*before, *copied)


def _chosen(newest: Mapping[str, Entry], step: str) -> str:
    if step == FROM_END:
        return FROM_END
    calls = [p for p, entry in newest.items() if not (isinstance(entry, _NO_CALLS) or p.startswith("undo/"))]
    wanted = (step, f"{step}#0")
    exact = next((position for position in calls if position in wanted), None)
    if exact is not None:
        return exact
    opened = next((position for position in calls if position.startswith(tuple(f"{each}/" for each in wanted))), None)
    if opened is not None:
        return opened  # the call that opened branches: the first one in them
    named = [position for position in calls if position[len(path_of(position)) :] in wanted]
    if len(named) == 1:
        return named[0]
    known = named or calls
    shown = ", ".join(position.removesuffix("#0") for position in known[:NAMED_MAX]) or "nothing"
    raise UsageError(
        f"it cannot be forked from {step}\n"
        f"  why: {'several calls have this name' if named else 'the journal has no such call'}: it has {shown}\n"
        f'  to do: name one of them, or "{FROM_END}" to go on behind the last one'
    )


def _refuse_impossible(newest: Mapping[str, Entry], kept: Iterable[str], cut: str) -> None:
    for position in kept:
        entry = newest.get(position)
        if isinstance(entry, CancelSeen | Rejected):
            raise _refused(cut, "it had been cancelled or rejected by then", "choose a call before that")
        if isinstance(entry, Asked):
            why = f"{position} was asked before, has no answer, and would be asked a second time"
            raise _refused(cut, why, f"wait for its answer, or fork from {position}")
        if isinstance(entry, HandedOver):
            why = f"{position} was handed to somebody outside before, who has not completed it"
            raise _refused(cut, why, f"complete it, or fork from {position}")
    for position, entry in newest.items():
        undone = position.removeprefix("undo/")
        if not isinstance(entry, Undone) or position in kept:
            continue
        if undone in kept or undone not in newest:
            raise _refused(cut, f"{undone} ran before, and was undone since", f"fork from {undone} or before it")


def _refused(cut: str, why: str, mend: str) -> UsageError:
    return UsageError(f"it cannot be forked from {cut}\n  why: {why}\n  to do: {mend}")


# Whose the keys are of what was taken over.


def key_holders(
    entry: Forked, recorded: Iterable[str], renewal: Renewal | None, earlier: Mapping[str, str]
) -> dict[str, str]:
    """For each position taken over, the execution under whose key its step ran: the first one, if forked again."""
    before = () if renewal is None else (finished.position for finished in renewal.finished)
    return dict.fromkeys((*recorded, *before), entry.origin) | dict(earlier)


def renewed_holders(holders: Mapping[str, str], renewal: Renewal) -> dict[str, str]:
    """The same when the journal begins anew: only steps that may still be undone, under their new positions."""
    prefix = f"{renewal.length}/"
    named = {finished.position: finished.position.removeprefix(prefix) for finished in renewal.finished}
    return {position: holders[old] for position, old in named.items() if old in holders}

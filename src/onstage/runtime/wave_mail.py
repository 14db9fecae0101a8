"""What parts of one process tell each other while it is undone: messages at the control subject of a service.

Down goes `CancelEdge`: undo all that an event led to at one handler. Up comes `EdgeUndone`. Whoever wants something of
the owner, whose store holds the root of the process, sends an `OwnerAsked`, and gets an `OwnerSaid` if it waits for it.
All of them may come twice, late, and in any order. Public ids name events and processes.
"""

from __future__ import annotations

from typing import Any, Final, final

import msgspec

from onstage.events.codec import DecodeFailed

__all__ = [
    "CANCEL",
    "PIVOT",
    "REJECT",
    "UNDO_ENDED",
    "WAVE",
    "CancelEdge",
    "EdgeUndone",
    "Letter",
    "OwnerAsked",
    "OwnerSaid",
    "decode_letter",
    "encode_letter",
    "kind_of",
]

WAVE: Final = "onstage-wave"
"""The header that says which of these a message is."""

PIVOT: Final = "pivot"
REJECT: Final = "reject"
CANCEL: Final = "cancel"
UNDO_ENDED: Final = "undo"
"""What an owner is asked: to grant a pivot, what a rejection means, to cancel what goes on, to undo what has ended."""


@final
class CancelEdge(msgspec.Struct, frozen=True, array_like=True):
    """Undo what `event` led to at `handler`, or with `waits` what it led to where `handler` took it in a wait.

    The answer is for the service `by`. Why, since when (ms), and the `outcome` that decided go along: all that follows
    from that is left alone. So does the name under which the process is `declared`.
    """

    process: str
    event: str
    handler: str
    waits: bool
    by: str
    reason: str
    since: int
    outcome: str = ""
    declared: str = ""


@final
class EdgeUndone(msgspec.Struct, frozen=True, array_like=True):
    """All that this edge led to is undone, but for the `residue`; `did` says whether there was anything to undo."""

    process: str
    event: str
    handler: str
    waits: bool
    residue: tuple[str, ...] = ()
    did: bool = False


@final
class OwnerAsked(msgspec.Struct, frozen=True, array_like=True):
    """The owner of a process is asked something, `word` says what; the answer, if there is one, is for `by`."""

    process: str
    word: str
    reason: str
    by: str = ""


@final
class OwnerSaid(msgspec.Struct, frozen=True, array_like=True):
    """What the owner says to that: the `state` of the process in a word, empty if nothing was decided about it."""

    process: str
    word: str
    state: str
    reason: str = ""
    since: int = 0
    outcome: str = ""
    declared: str = ""


Letter = CancelEdge | EdgeUndone | OwnerAsked | OwnerSaid
_KINDS: Final[dict[str, type[Any]]] = {
    "cancel": CancelEdge,
    "undone": EdgeUndone,
    "asked": OwnerAsked,
    "said": OwnerSaid,
}
_NAMES: Final = {cls: name for name, cls in _KINDS.items()}
_DECODERS: Final = {name: msgspec.msgpack.Decoder(cls) for name, cls in _KINDS.items()}
encode_letter: Final = msgspec.msgpack.Encoder().encode


def kind_of(letter: Letter) -> str:
    """What stands in the header of such a message."""
    return _NAMES[type(letter)]


def decode_letter(kind: str, data: bytes) -> Letter:
    """The message of this kind. Raises DecodeFailed if it is none."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise DecodeFailed(f"a message of an undoing of an unknown kind: {kind[:20]}")
    try:
        letter: Letter = decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"a message of an undoing: {error}") from error
    return letter

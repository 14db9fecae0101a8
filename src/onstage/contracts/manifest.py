"""The manifest: what services declare, as plain values that can be stored, compared and sent."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final, final

import msgspec

from onstage.contracts.rule import Rule

__all__ = [
    "AppManifest",
    "HandlerManifest",
    "ProcessManifest",
    "StepManifest",
    "TypeManifest",
    "digest",
    "from_stored",
]


@final
class StepManifest(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A step that a handler calls: its name, and whether it can be undone or is the point of no return."""

    name: str
    undo: bool = False
    pivot: bool = False


@final
class HandlerManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one handler declares. ``name`` is ``"service.handler"``, event types are meant by name.

    ``lane`` of a batch handler is "batch" if one batch runs at a time, else "batches".
    ``triggers`` is one topic pattern if ``pattern`` is true. ``was`` are former full names. ``code`` is the
    fingerprint of its bytecode (32 bits).

    ``alternatives`` are the ways in which the return annotation lets it end, each the events it then emits; none at all
    if they are not known. ``asks`` are the requests whose answers it may wait for, ``answers`` the one that its result
    answers; their types stand among ``emits`` and ``waits`` as well. ``timer`` is true if it sleeps, limits a wait or
    emits later; ``rejects`` if it may raise ``Reject``. ``inferred`` is false if its source could not be read in full.
    ``flow`` are its limits in words: "rate 100/s".
    """

    name: str
    service: str
    triggers: tuple[str, ...]
    pattern: bool = False
    emits: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    gating: bool = True
    key: str | None = None
    on_failure: str = "block"
    lane: str = "until-end"
    start: str = "new"
    was: tuple[str, ...] = ()
    code: int = 0
    alternatives: tuple[tuple[str, ...], ...] = ()
    asks: tuple[str, ...] = ()
    answers: str | None = None
    timer: bool = False
    rejects: bool = False
    steps: tuple[StepManifest, ...] = ()
    inferred: bool = True
    flow: tuple[str, ...] = ()


@final
class ProcessManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one process declares. Event types are meant by name, durations are seconds, ``rules`` by text."""

    name: str
    starts: tuple[str, ...]
    done: tuple[str, ...]
    failed: tuple[str, ...] = ()
    within_s: dict[str, float] = {}
    deadline_s: float | None = None
    late: bool = False
    external: tuple[str, ...] = ()
    owner: str | None = None
    one_per_key: bool = False
    rules: tuple[Rule, ...] = ()
    undo: bool = False


@final
class TypeManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One event type: its name, version, key field, and the fingerprint of its schema (63 bits).

    ``shape`` is the JSON Schema as text, "" where it is not known. The fingerprint stands for it in digests.
    """

    name: str
    version: int
    key: str | None
    schema: int
    shape: str = ""


@final
class AppManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an application declares: its handlers, processes and event types, each sorted by name."""

    handlers: tuple[HandlerManifest, ...] = ()
    processes: tuple[ProcessManifest, ...] = ()
    types: tuple[TypeManifest, ...] = ()


_ORDERED: Final = msgspec.json.Encoder(order="deterministic")
_Part = HandlerManifest | ProcessManifest | TypeManifest


def digest(manifest: AppManifest) -> str:
    """Return 32 hex digits that are equal for equal declarations, in whatever order they were made."""
    groups: tuple[tuple[_Part, ...], ...] = (manifest.handlers, manifest.processes, manifest.types)
    lines = [sorted(_ORDERED.encode(_unordered(part)) for part in group) for group in groups]
    return blake2b(b"\n\n".join(b"\n".join(group) for group in lines), digest_size=16).hexdigest()


@lru_cache(maxsize=8)
def from_stored(stored: bytes) -> AppManifest:
    """The manifest that a store keeps, its digest on the first line, then JSON; an empty one for any other form."""
    try:
        return msgspec.json.decode(stored.partition(b"\n")[2], type=AppManifest)
    except msgspec.DecodeError:
        return AppManifest()


def _unordered(part: _Part) -> dict[str, object]:
    fields = msgspec.structs.asdict(part)
    fields.pop("shape", None)
    return {name: sorted(value) if isinstance(value, tuple) else value for name, value in fields.items()}

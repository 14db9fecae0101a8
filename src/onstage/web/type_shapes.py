"""The shapes that event types had, from topology to topology, and the contracts that a change of shape has broken."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from onstage.contracts.manifest import from_stored
from onstage.contracts.schema_changes import schema_changes
from onstage.events.envelope import hlc_ms
from onstage.web.panes import pane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.contracts.schema_changes import SchemaChange
    from onstage.reading.store_file import StoreFile
    from onstage.web.source import Source

__all__ = ["BREAK_EVENTS_MAX", "VERSIONS_MAX", "BrokenContract", "Shape", "broken_contracts", "changes_to", "shapes_of"]

VERSIONS_MAX: Final = 50
"""Of so many topologies, the newest, the versions of a type are told."""

BREAK_EVENTS_MAX: Final = 20_000
"""Events whose contract was broken are looked for among so many, the newest."""

_NEWEST: Final = 1 << 62


@final
class Shape(NamedTuple):
    """One shape of an event type, and the first and last topology that declared it, one after the other."""

    version: int
    fingerprint: int
    text: str
    first: int
    last: int
    since_ms: int


@final
class BrokenContract(NamedTuple):
    """A type of which stored events cannot be read any more: how it was changed, how many there are, some processes."""

    type: str
    version: int
    since_ms: int
    words: tuple[str, ...]
    events: int
    newest_ms: int
    processes: tuple[int, ...]


def shapes_of(source: Source, store: StoreFile) -> dict[str, list[Shape]]:
    """Of each event type the shapes that it had, the newest first."""
    ((newest,),) = pane(store, "newest_epoch")
    return source.remembered("shapes", store, lambda: _shapes(store), version=newest or 0)


def _shapes(store: StoreFile) -> dict[str, list[Shape]]:
    found: defaultdict[str, list[Shape]] = defaultdict(list)
    for epoch, stored, since in pane(store, "topologies", limit=VERSIONS_MAX):
        for each in from_stored(bytes(stored)).types:
            shapes = found[each.name]
            shape = Shape(each.version, each.schema, each.shape, epoch, epoch, since)
            if shapes and (shapes[-1].version, shapes[-1].fingerprint) == (each.version, each.schema):
                later = shapes.pop()
                shape = later._replace(text=later.text or each.shape, first=epoch, since_ms=since)
            shapes.append(shape)
    return found


def changes_to(shape: Shape, earlier: Shape) -> tuple[SchemaChange, ...]:
    """What is different from an earlier shape; nothing where one of the two is not known."""
    if not (shape.text and earlier.text):
        return ()
    return schema_changes(msgspec.json.decode(earlier.text), msgspec.json.decode(shape.text))


def broken_contracts(source: Source, store: StoreFile) -> Iterator[BrokenContract]:
    """Types that were changed under the same version so that events of before, which are stored, cannot be read."""
    for name, (newest, *earlier) in shapes_of(source, store).items():
        for each in earlier:
            words = tuple(change.words for change in changes_to(newest, each) if change.breaks)
            if words and each.version == newest.version and (found := _stored_under(store, name, each)):
                yield BrokenContract(name, newest.version, newest.since_ms, words, *found)
                break


def _stored_under(store: StoreFile, name: str, shape: Shape) -> tuple[int, int, tuple[int, ...]] | None:
    (floor,) = pane(store, "event_window", before=_NEWEST, most=BREAK_EVENTS_MAX)[0]
    wanted = {"type": name, "version": shape.version, "first": shape.first, "last": shape.last, "floor": floor or 0}
    rows = pane(store, "events_of_shape", **wanted)
    if not rows:
        return None
    processes = tuple(dict.fromkeys(process for process, _ in rows))
    return len(rows), hlc_ms(rows[0][1]), processes

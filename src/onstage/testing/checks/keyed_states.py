"""Keyed state: what is kept is what the journals have written, one version after the other."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from onstage.core.journal import StateRead, StateWritten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile

__all__ = ["states_of", "versions_with_gaps", "writers_of"]


def states_of(file: StoredFile) -> dict[tuple[str, str], tuple[int, bytes | None]]:
    """Version and value of each state, by its name and key."""
    return {
        (name, key): (version, file.payload_of_state(data, name, key, version))
        for name, key, version, data in file.rows("select state, key, version, data from onstage_state")
    }


def writers_of(file: StoredFile, service: str) -> dict[str, list[tuple[int, int]]]:
    """Who has written the states of a service, by key: (version that was written, execution), in this order."""
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for execution, entries in file.journals.items():
        if file.handler_of(execution).startswith(f"{service}."):
            key = file.events[execution >> 16].key or ""
            found[key] += [(entry.version, execution) for entry in entries if isinstance(entry, StateWritten)]
    return {key: sorted(written) for key, written in found.items()}


def versions_with_gaps(file: StoredFile, service: str) -> Iterator[str]:
    """Keys whose versions are not 1, 2, 3 and so on, each written once; or that were read in a version to come."""
    kept = {key: version for (name, key), (version, _) in states_of(file).items() if name.startswith(f"{service}.")}
    for key, written in writers_of(file, service).items():
        versions = [version for version, _ in written]
        if versions != list(range(1, kept.get(key, 0) + 1)):
            yield f"the state of {key} is version {kept.get(key, 0)}, and was written as {versions}"
    for execution, entries in file.journals.items():
        if not file.handler_of(execution).startswith(f"{service}."):
            continue
        newest = kept.get(file.events[execution >> 16].key or "", 0)
        if early := [e.version for e in entries if isinstance(e, StateRead) and e.version > newest]:
            yield f"execution {execution} has read versions {early}, the newest is {newest}"

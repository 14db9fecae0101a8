"""Rows of which each has a version and replaces the one before: a compare-and-set inside a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

__all__ = ["VersionedRows"]


class _Row(Protocol):
    @property
    def process(self) -> int: ...
    @property
    def version(self) -> int: ...


R = TypeVar("R", bound=_Row)


@final
class VersionedRows(Generic[R]):
    """The newest rows of one kind while a batch works on them; `newest` are those to be written."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._stored: dict[int, int] = {}
        self.newest: dict[int, R] = {}

    def look_up(
        self, processes: Collection[int], stored: Callable[[Collection[int]], Iterable[tuple[int, int]]]
    ) -> None:
        """Learn the stored versions of these processes' rows."""
        if processes:
            self._stored |= dict(stored(processes))

    def version(self, process: int) -> int:
        """The version of the newest row, 0 if there is none."""
        newest = self.newest.get(process)
        return self._stored.get(process, 0) if newest is None else newest.version

    def are_overtaken(self, rows: Sequence[R]) -> bool:
        """Whether one of these does not follow the newest."""
        return any(row.version != self.version(row.process) + 1 for row in rows)

    def put(self, rows: Iterable[R]) -> None:
        """These are the newest now."""
        self.newest |= {row.process: row for row in rows}

"""Branches: where a durable call stands if several lines of calls run side by side in one execution.

Theory of operation. `gather`, `race`, `spawn` and `scope` take a position like any call and open branches below it:
`gather#0/2/charge#0` is the first `charge` in the third branch of the first `gather`. A branch counts the occurrences
of names by itself, so that its positions do not depend on how fast the others are; a counter that all branches shared
would give the same name to different calls on replay. It has a frontier of its own: what it has recorded and not asked
again. A branch whose opener waits for it is behind the frontier as long as its opener is; a spawned one is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from onstage.core.journal import Failed

__all__ = ["Cursor", "branch_path", "made_in", "opening_of", "path_of"]

_PATH: Final = re.compile(r"(?:(?:gather|race|spawn|scope [^/#]+)#\d+/\d+/)+")


def branch_path(position: str, index: int) -> str:
    """The path of a branch that the call at `position` opens: what the positions in it begin with."""
    return f"{position}/{index}/"


def path_of(position: str) -> str:
    """The path of the branch in which a call was made; empty for the handler's own."""
    found = _PATH.match(position)
    return "" if found is None else found.group()


def made_in(position: str) -> str:
    """The path with which the branch was opened in which a call was made: without the scopes in it."""
    path = path_of(position)
    while path:
        opening, _ = opening_of(path)
        if not opening.rpartition("/")[2].startswith("scope "):
            break
        path = path_of(opening)
    return path


def opening_of(path: str) -> tuple[str, int]:
    """Whence a branch was opened: the position of the call that did, and the number of the branch there."""
    position, _, index = path[:-1].rpartition("/")
    return position, int(index)


@final
class Cursor(msgspec.Struct, eq=False):
    """How far one branch has come: the occurrences of each name, what is recorded and not made again.

    `tentative` are failures that the branch has not gone past; `under` is the branch that waits for this one.
    """

    path: str = ""
    occurrences: dict[str, int] | None = None
    unmade: set[str] | None = None
    tentative: list[Failed] | None = None
    under: Cursor | None = None

    def take(self, name: str) -> str:
        """The position of the next call of this name in this branch."""
        occurrences = self.occurrences
        if occurrences is None:
            occurrences = self.occurrences = {}
        occurrence = occurrences.get(name, 0)
        occurrences[name] = occurrence + 1
        position = f"{self.path}{name}#{occurrence}"
        if self.unmade:
            self.unmade.discard(position)
        return position

    def expect(self, position: str) -> None:
        """The journal has a call of this branch at `position`: it will be made again."""
        if self.unmade is None:
            self.unmade = set()
        self.unmade.add(position)

    def fails(self, failure: Failed) -> None:
        """Something failed for good in this branch, which has still to go on past it."""
        if self.tentative is None:
            self.tentative = []
        self.tentative.append(failure)

    @property
    def is_behind(self) -> bool:
        """Whether recorded calls are still to come, here or in a branch that waits for this one."""
        cursor: Cursor | None = self
        while cursor is not None:
            if cursor.unmade:
                return True
            cursor = cursor.under
        return False

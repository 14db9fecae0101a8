"""The ways from older versions of a shape to the newest one: what ``@upcast`` registers, and how a value goes them.

A way leads from one version to a later one, and is a function of plain JSON values. From a version the way with that
number is taken, then the one from where it leads, up to the newest: one step for each change of the shape, however old
a value is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, final

import msgspec

from onstage.errors import refusal
from onstage.events.codec import DecodeFailed, NoCodec, encode_any

__all__ = ["VERSION_MAX", "Lift", "Ways"]

VERSION_MAX: Final = 1_000_000
"""The largest version of an event, or of what a step records."""

Lift = Callable[[Any], object]
"""Makes the plain value (what JSON holds) of a later version of the one of an earlier; it may also be the object."""


class _Way(NamedTuple):
    until: int
    lift: Lift
    where: str


@final
class Ways:
    """The ways between the versions of one shape, which errors call ``of``."""

    __slots__ = ("_by_version", "named", "of")

    def __init__(self, of: str, named: str) -> None:
        """No way yet; ``named`` is how the code names the shape."""
        self.of: Final = of
        self.named: Final = named
        self._by_version: dict[int, _Way] = {}

    def add(self, since: int, until: int, lift: Lift, *, newest: int, where: str) -> None:
        """Add the way from version ``since`` to ``until``.

        Raises:
            DefinitionError: if it leads nowhere, beyond the newest version, or there is one from there.
        """
        what = f"@upcast of {self.of} from version {since!r} to {until!r}"
        if not all(type(each) is int and 1 <= each <= VERSION_MAX for each in (since, until)) or since >= until:
            raise refusal(what, "a way leads from a version to a later one, both 1 or more", "write 1, 2, say", where)
        if until > newest:
            why, mend = f"{self.of} has version {newest}", f"declare it with version={until}"
            raise refusal(what, why, mend, where)
        first = self._by_version.get(since)
        if first is not None:
            why = f"there is a way from version {since} to {first.until} already, at {first.where}"
            raise refusal(what, why, "remove one of the two", where)
        self._by_version[since] = _Way(until, lift, where)

    def lift(self, data: bytes, version: int, newest: int) -> bytes:
        """The JSON of the newest version of a value that is JSON of an older one.

        Raises:
            DecodeFailed: if there is no way, or one of them fails; the text says which, and what to do.
        """
        if version > newest:
            raise DecodeFailed(f"{self.of} has version {version} here, and this code knows {newest}: deploy newer code")
        try:
            value: Any = msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise DecodeFailed(f"{self.of} version {version}: {error}") from error
        while version < newest:
            way = self._by_version.get(version)
            if way is None:
                raise DecodeFailed(
                    f"{self.of} version {version} cannot become version {newest}: there is no @upcast({self.named}, "
                    f"{version}, {version + 1})"
                )
            value, version = _gone(way, value, f"{self.of} version {version}"), way.until
        try:
            return encode_any(value)
        except NoCodec as error:
            raise DecodeFailed(f"{self.of} version {newest}: what @upcast made of it: {error}") from error


def _gone(way: _Way, value: Any, what: str) -> Any:
    try:
        return way.lift(value)
    except Exception as error:
        named = f"{type(error).__name__}: {error}"
        raise DecodeFailed(f"{what}: the @upcast to version {way.until} ({way.where}) raised {named}") from error

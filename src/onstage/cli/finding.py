"""What `onstage doctor` says about one thing that it looked at."""

from __future__ import annotations

from typing import final

import msgspec

__all__ = ["Finding", "bytes_shown"]


@final
class Finding(msgspec.Struct, frozen=True):
    """What was looked at, whether it is well, what was found, and the mend if it is not well."""

    what: str
    is_well: bool
    found: str
    mend: str | None = None


def bytes_shown(count: float) -> str:
    """A number of bytes as people say it: `512 bytes`, `4.0 MiB`."""
    if count < 1024:
        return f"{count:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"

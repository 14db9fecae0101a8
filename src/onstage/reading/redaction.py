"""What people are shown of a payload: fields that hold secrets are masked."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from onstage.reading.settings import find_settings

__all__ = ["MASK", "redacted"]

MASK: Final = "•••"
_ALWAYS: Final = frozenset({"secret", "password"})


def redacted(data: bytes) -> bytes:
    """The payload with the value of each field named secret, password, or in `redact` of `[tool.onstage]` masked.

    At any depth, in whatever case the names are. What is no JSON is answered as it is.
    """
    names = _names(Path.cwd())
    lowered = data.lower()
    if not any(name.encode() in lowered for name in names):
        return data
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return data
    return msgspec.json.encode(_masked(value, names))


@cache
def _names(folder: Path) -> frozenset[str]:
    return _ALWAYS | {name.lower() for name in re.split(r"[\s,]+", find_settings(folder).redact or "") if name}


def _masked(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: MASK if name.lower() in names else _masked(inner, names) for name, inner in value.items()}
    return [_masked(inner, names) for inner in value] if isinstance(value, list) else value

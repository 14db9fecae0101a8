"""The named queries of `queries.sql`, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["migrations", "named_statements", "query"]

_MARK: Final = "-- name: "


def named_statements(text: str) -> dict[str, str]:
    """The statements of a file of named queries, by name and without their comments."""
    found: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[name.strip()] = "\n".join(lines).strip()
    return found


@cache
def _all() -> dict[str, str]:
    return named_statements((files(__package__) / "queries.sql").read_text(encoding="utf-8"))


def query(name: str) -> str:
    """The statement with this name. Raises KeyError for a name that is not in the file."""
    return _all()[name]


def migrations() -> list[tuple[int, str]]:
    """The numbered migrations, in order, as (number, script)."""
    folder = files(__package__) / "migrations"
    scripts = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in scripts]

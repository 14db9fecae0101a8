"""The statements of the panes, each once, by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from onstage.stores.sqlite.queries import named_statements

if TYPE_CHECKING:
    import apsw

    from onstage.reading.store_file import StoreFile

__all__ = ["pane", "rows_of"]


def pane(store: StoreFile, name: str, **bindings: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement of `panes.sql`."""
    return rows_of(store.connection, name, **bindings)


def rows_of(connection: apsw.Connection, name: str, **bindings: Any) -> list[tuple[Any, ...]]:
    """The same, on a connection."""
    return connection.execute(_statements()[name], bindings).fetchall()


@cache
def _statements() -> dict[str, str]:
    found = named_statements((files("onstage.web") / "panes.sql").read_text(encoding="utf-8"))
    fits = found.pop("fits")
    return {name: text.replace("FITS", fits) for name, text in found.items()}

"""What `pyproject.toml` remembers: `[tool.onstage]` with `app`, `store`, `broker` and others."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from onstage.reading.failure import Exit, Failure

__all__ = ["STORE_DEFAULT", "Settings", "find_settings"]

STORE_DEFAULT: Final = "sqlite:///onstage.db"
_RELATIVE: Final = "sqlite:///"


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What is remembered, and in which folder. A relative store lies in that folder."""

    folder: Path
    app: str | None = None
    store: str | None = None
    broker: str | None = None
    redact: str | None = None
    alert_webhook: str | None = None


def find_settings(start: Path) -> Settings:
    """The settings of the nearest `pyproject.toml` with a `[tool.onstage]`, from `start` upwards.

    Raises Failure for a file that is no TOML or holds something else than text there.
    """
    for folder in (start, *start.parents):
        table = _table(folder / "pyproject.toml")
        if table is not None:
            store = _text(table, "store", folder)
            placed = None if store is None else _placed(store, folder)
            broker, redact = _text(table, "broker", folder), _text(table, "redact", folder)
            webhook = _text(table, "alert_webhook", folder)
            return Settings(folder, _text(table, "app", folder), placed, broker, redact, webhook)
    return Settings(start)


def _table(path: Path) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except ValueError as error:
        raise Failure(f"{path} cannot be read", str(error), "correct it", code=Exit.USAGE) from error
    found = document.get("tool", {}).get("onstage")
    return found if isinstance(found, dict) else None


def _text(table: dict[str, Any], name: str, folder: Path) -> str | None:
    value = table.get(name)
    if value is None or isinstance(value, str):
        return value
    what = f"[tool.onstage] {name} in {folder / 'pyproject.toml'} is no text"
    raise Failure(what, f"it is {value!r}", f'write {name} = "..."', code=Exit.USAGE)


def _placed(store: str, folder: Path) -> str:
    """A relative store as seen from the present folder, or from anywhere."""
    path = store.removeprefix(_RELATIVE)
    if path == store or path.startswith("/") or folder == Path.cwd():
        return store
    return f"{_RELATIVE}{folder / path}"

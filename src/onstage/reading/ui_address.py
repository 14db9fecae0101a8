"""Where the web UI over a store answers: noted beside the node's socket, for the command line to print links."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from onstage.runtime.local_socket import FOLDER_MODE, refuse_foreign, socket_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["noted", "process_link", "ui_address"]


@contextmanager
def noted(store: Path, url: str) -> Iterator[None]:
    """Note that a UI over this store answers at this address, while inside."""
    file = _file(store)
    file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    refuse_foreign(file.parent)
    file.write_text(f"{url}\n", encoding="utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text(encoding="utf-8").strip() == url:
                file.unlink()


def ui_address(store: Path) -> str | None:
    """Where a UI over this store was last said to answer; None if nobody said so."""
    try:
        found = _file(store).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return found or None


def process_link(store: Path, process: str) -> str | None:
    """The page of a process in that UI, None if there is none."""
    url = ui_address(store)
    return None if url is None else f"{url}/processes/{quote(process, safe='')}"


def _file(store: Path) -> Path:
    return socket_path(store).with_suffix(".ui")

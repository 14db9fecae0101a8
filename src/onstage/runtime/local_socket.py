"""Where the socket of a running node lies, and who may have made that folder."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path
from typing import Final

from onstage.errors import StoreUnavailable

__all__ = ["FOLDER_MODE", "refuse_foreign", "socket_path"]

FOLDER_MODE: Final = 0o700


def socket_path(store: Path) -> Path:
    """Where the node on this store listens: within the length limit of socket names, wherever the store is."""
    import tempfile  # lazily: only a node or a client needs it

    base = os.environ.get("XDG_RUNTIME_DIR") or f"{tempfile.gettempdir()}/onstage-{os.getuid()}"
    name = blake2b(str(store.resolve()).encode(), digest_size=10).hexdigest()
    return Path(base) / f"onstage-{name}.sock"


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder for sockets that others could have put there, or could reach into.

    The user's own runtime directory is the system's business; the one among everybody's temporary files is ours.
    Raises StoreUnavailable.
    """
    if os.environ.get("XDG_RUNTIME_DIR"):
        return
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        why = "it is no folder, and whoever made it could answer in the node's place"
    elif found.st_uid != os.getuid():
        why = f"it belongs to user {found.st_uid}, who could answer in the node's place"
    elif mode != FOLDER_MODE:
        why = f"its mode is {mode:03o}, and with any other than {FOLDER_MODE:o} somebody else could reach it"
    else:
        return
    raise StoreUnavailable(
        f"{folder} cannot hold the node's socket\n  why: {why}\n"
        f"  to do: remove it, or set XDG_RUNTIME_DIR to a folder of your own with mode {FOLDER_MODE:o}"
    )

"""One life of a node in a process of its own: forked with everything imported, ended by a trap or by itself."""

import asyncio
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import NoReturn

from tests.matrix.matrix_app import ledger, play
from tests.matrix.points import Cell, Trap, arm

LIFE_S_MAX = 30
AFTER_ERROR_S = 0.06
STORE, LEDGER, LOG = "matrix.db", "ledger.txt", "node.log"
ENDED, KILLED = 0, -int(SIGKILL)


@dataclass(frozen=True)
class Life:
    """How a process ended, and how often it reached each point (empty if it was killed)."""

    code: int
    seen: dict[str, int]


def live(folder: Path, cell: Cell | None = None, *, change: Callable[[], None] = lambda: None) -> Life:
    """Play in a child process until it ends or dies. `change` is done to the code first: a planted bug."""
    seen = folder / "seen.json"
    seen.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _child(folder, Trap(cell), change, seen)
    _, status = os.waitpid(child, 0)
    return Life(os.waitstatus_to_exitcode(status), json.loads(seen.read_text()) if seen.exists() else {})


def _child(folder: Path, trap: Trap, change: Callable[[], None], seen: Path) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIFE_S_MAX)
        _write_to(folder / LOG)
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        ledger.path = folder / LEDGER
        change()
        arm(trap)
        asyncio.run(_limited(folder / STORE, trap))
        seen.write_text(json.dumps(trap.seen))
        code = ENDED
    except BaseException:  # noqa: BLE001  a child never returns into the parent's code
        traceback.print_exc()
    if trap.is_sprung:
        os.kill(os.getpid(), SIGKILL)  # what the error left undone, nobody tidies up
    os._exit(code)


def _write_to(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.WARNING, force=True, stream=sys.stderr)


async def _limited(store: Path, trap: Trap) -> None:
    """A node that has met an error may hang for good, so it is killed a while later."""
    loop = asyncio.get_running_loop()
    trap.on_error = lambda: loop.call_soon_threadsafe(loop.call_later, AFTER_ERROR_S, os.kill, os.getpid(), SIGKILL)
    await play(store)

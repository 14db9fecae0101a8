"""Where a node can be made to die: every statement of the writer, and the calls between which its state changes.

Nothing of this is in the package. Armed, a process wraps what is named here before it starts its node; a process that
is not armed runs the code as it is.
"""

import inspect
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from importlib.resources import files
from typing import Any

import apsw
from tests.matrix.matrix_app import ledger

from onstage import assembly
from onstage.runtime import attempts, undo
from onstage.runtime.admission import Admission
from onstage.runtime.driver import Driver
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.mailbox import Mailbox
from onstage.runtime.node import Node
from onstage.runtime.recovery import Recovery
from onstage.runtime.timer_loop import TimerLoop
from onstage.runtime.watch import Watch
from onstage.runtime.workers import ThreadWorkers
from onstage.stores.sqlite import connection, writer
from onstage.stores.sqlite.queries import named_statements
from onstage.stores.sqlite.store import SqliteStore
from onstage.stores.sqlite.writer import Writer
from onstage.stores.window import Window

BEFORE, AFTER = "before", "after"
RETRY_S = 0.01

# What is wrapped: where it is, its name, on which sides of it a node can die.
CALLS: list[tuple[Any, str, tuple[str, ...]]] = [
    (connection, "lock", (BEFORE, AFTER)),
    (connection, "open_writer", (BEFORE, AFTER)),
    (connection, "migrate", (BEFORE, AFTER)),
    (connection, "unlock", (BEFORE, AFTER)),
    (SqliteStore, "_begin", (AFTER,)),
    (SqliteStore, "open", (AFTER,)),
    (Recovery, "start", (BEFORE, AFTER)),
    (Recovery, "_take_up", (AFTER,)),
    (Node, "start", (AFTER,)),
    (LocalDoor, "open", (AFTER,)),
    (LocalDoor, "_do", (AFTER,)),
    (LocalDoor, "_answer", (AFTER,)),
    (Admission, "admit", (BEFORE, AFTER)),
    (Admission, "stored", (AFTER,)),
    (Mailbox, "arrived", (AFTER,)),
    (Window, "append", (BEFORE, AFTER)),
    (Writer, "hand_over", (BEFORE, AFTER)),
    (Writer, "_write", (BEFORE,)),
    (Writer, "_written", (BEFORE, AFTER)),
    (Writer, "_tell", (BEFORE, AFTER)),
    (SqliteStore, "_on_batch", (BEFORE,)),
    (Window, "settle", (AFTER,)),
    (Node, "_on_batch", (AFTER,)),
    (Driver, "begin", (AFTER,)),
    (Driver, "tell", (BEFORE, AFTER)),
    (Driver, "save", (AFTER,)),
    (Driver, "returned", (BEFORE,)),
    (Driver, "_settle", (AFTER,)),
    (Node, "unpark", (AFTER,)),
    (TimerLoop, "_fire", (BEFORE,)),
    (attempts, "run_function", (BEFORE, AFTER)),
    (undo, "_run", (BEFORE, AFTER)),
    (Watch, "verdict", (AFTER,)),
    (Node, "close", (BEFORE, AFTER)),
    (SqliteStore, "close", (BEFORE,)),
    (SqliteStore, "_last_batch", (AFTER,)),
    (Writer, "close", (BEFORE, AFTER)),
    (ThreadWorkers, "close", (AFTER,)),
]


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix: at which point, the how many-th time it is reached, and how the node is to fail."""

    point: str
    hit: int
    is_killed: bool = True

    def __str__(self) -> str:
        return f"{'kill' if self.is_killed else 'error'} at {self.point}, hit {self.hit}"


class Trap:
    """Counts how often each point is reached, and fails the node at one of them."""

    def __init__(self, cell: Cell | None) -> None:
        self.cell = cell
        self.seen: Counter[str] = Counter()
        self.is_sprung = False
        self.on_error: Callable[[], object] = lambda: None

    def __call__(self, point: str, error: type[Exception] = RuntimeError) -> None:
        """A point is reached."""
        self.seen[point] += 1
        cell = self.cell
        if cell is None or (point, self.seen[point]) != (cell.point, cell.hit):
            return
        self.is_sprung = True
        ledger.note("sprung", *cell.point.split())
        if cell.is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        self.on_error()
        raise error(f"failed on purpose at {point}")


def arm(trap: Trap) -> None:
    """Let the trap see every point that this process reaches from now on."""
    writer.RETRY_S = RETRY_S  # type: ignore[misc]  # trouble is to be over soon
    writer.CHECKPOINT_PAGES = 40  # type: ignore[misc]  # several checkpoints in so short a life
    for owner, name, sides in CALLS:
        setattr(owner, name, wrapped(getattr(owner, name), point_name(owner, name), sides, trap))
    assembly.Node = partial(Node, invoke=attempts.run_function)  # type: ignore[misc,assignment]
    open_writer = connection.open_writer

    def opened(*arguments: Any) -> apsw.Connection:
        db = open_writer(*arguments)
        db.exec_trace = traced(trap)
        return db

    connection.open_writer = opened
    adopt = Writer.adopt

    def adopted(self: Writer, db: apsw.Connection) -> None:
        adopt(self, db)
        db.set_wal_hook(partial(checkpoint, trap))

    Writer.adopt = adopted  # type: ignore[method-assign]


def checkpoint(trap: Trap, db: apsw.Connection, name: str, pages: int) -> int:
    """In the place of SQLite's own checkpoint: the commit has happened, and its statement has not returned."""
    trap("within commit: written", apsw.IOError)
    if pages >= writer.CHECKPOINT_PAGES:
        db.wal_checkpoint(name, apsw.SQLITE_CHECKPOINT_PASSIVE)
        trap("within commit: checkpointed", apsw.IOError)
    return apsw.SQLITE_OK


def point_name(owner: Any, name: str) -> str:
    """How a call is called in reports."""
    return f"{getattr(owner, '__qualname__', owner.__name__).rpartition('.')[2]}.{name.lstrip('_')}"


def wrapped(function: Any, name: str, sides: tuple[str, ...], trap: Trap) -> Any:
    """The function with the trap on the given sides of it."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if BEFORE in sides:
            trap(f"before {name}")
        answer = function(*arguments, **options)
        if AFTER in sides:
            trap(f"after {name}")
        return answer

    @wraps(function)
    async def call_async(*arguments: Any, **options: Any) -> Any:
        if BEFORE in sides:
            trap(f"before {name}")
        answer = await function(*arguments, **options)
        if AFTER in sides:
            trap(f"after {name}")
        return answer

    return call_async if inspect.iscoroutinefunction(function) else call


def traced(trap: Trap) -> Callable[[Any, str, Any], bool]:
    """Looks at each statement of the writer before it runs; those that only read are passed over."""
    names = {text: name for name, text in named_statements(statements()).items()}

    def trace(_: Any, sql: str, bindings: Any) -> bool:
        text = sql.strip().rstrip(";")
        name = names.get(text) or statement_name(text)
        if name is not None and not text.startswith("SELECT"):
            trap(f"before sql: {name}", apsw.IOError)
        return True

    return trace


def statements() -> str:
    return (files("onstage.stores.sqlite") / "queries.sql").read_text(encoding="utf-8")


def statement_name(text: str) -> str | None:
    """What to call a statement that has no name: what it creates, a transaction's borders."""
    plain = re.sub(r"--[^\n]*", "", text).strip()
    if found := re.match(r"CREATE (TABLE|INDEX)\b", plain, re.IGNORECASE):
        return f"create {found[1].lower()}"
    if found := re.match(r"(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA user_version)\b", plain, re.IGNORECASE):
        return found[1].lower()
    if found := re.match(r"INSERT INTO (\w+)", plain, re.IGNORECASE):
        return f"insert {found[1]}"
    return None

"""`onstage doctor`: looks at everything a node needs, and says for each problem how to mend it."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw
import click

from onstage.cli.broker_findings import examine_broker
from onstage.cli.failures import Exit
from onstage.cli.finding import Finding, bytes_shown
from onstage.cli.list_subscriptions import under_way
from onstage.cli.options import Surroundings, app_option, broker_option, surroundings
from onstage.cli.printing import clean, plural, print_json, styled
from onstage.cli.read_events import history_in
from onstage.errors import OnstageError
from onstage.reading.store_file import HOLDS, StoreFile, lock_holder, looking_at
from onstage.stores.sqlite.connection import read_meta

if TYPE_CHECKING:
    from onstage.app import App

__all__ = ["command", "examine", "has_wal_bug"]

WAL_BYTES_MAX: Final = 256 << 20
FREE_BYTES_MIN: Final = 512 << 20
PYTHON_MIN: Final = (3, 11)
_SURVIVES: Final = {
    "EXTRA": "what is accepted survives a power cut",
    "FULL": "what is accepted survives a power cut",
    "NORMAL": "what is accepted survives a kill; a power cut may take the last commits with it",
    "OFF": "a power cut may damage the file",
}


@click.command("doctor", short_help="Look for what is wrong, and say how to mend it.")
@app_option
@broker_option
@surroundings
def command(at: Surroundings) -> int:
    """Look at Python, SQLite, the store's file, its writer, the disk, the app, and the broker if one is named.

    Exit code 1 if anything is wrong. Nothing is made or changed.
    """
    findings = list(examine(at))
    bad = [finding for finding in findings if not finding.is_well]
    if at.is_json:
        print_json(findings)
        return Exit.FOUND if bad else Exit.OK
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = styled("ok" if finding.is_well else "problem") + " " * (2 + 5 * finding.is_well)
        click.echo(f"{mark}{finding.what:<{width}}  {clean(finding.found)}")
        if finding.mend:
            click.echo(f"{'':9}{'':<{width}}  to do: {clean(finding.mend)}")
    click.echo(f"{plural(len(bad), 'problem')} found" if bad else "all is well")
    return Exit.FOUND if bad else Exit.OK


def examine(at: Surroundings) -> Iterator[Finding]:
    """Look at one thing after the other; what makes the rest pointless ends it."""
    yield _python()
    yield _library()
    path = at.path()
    yield Finding("system SQLite", True, f"{sqlite3.sqlite_version} of Python's sqlite3; {_system_hint()}")
    yield from _place(path)
    if path.exists():
        yield from _file(path)
        yield from _inside(path, at)
    else:
        yield Finding("store", True, f"{path} is not there yet; a node makes it")
    yield from _writer(path)
    if at.target is not None:
        yield from _application(at)
    if at.broker is not None:
        yield from examine_broker(at.broker)


# The machine.


def _python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable})"
    mend = None if sys.version_info >= PYTHON_MIN else "install Python 3.11 or newer"
    return Finding("python", mend is None, found, mend)


def has_wal_bug(version: tuple[int, ...]) -> bool:
    """Whether this SQLite can corrupt a file when its write-ahead log is reset: 3.7.0 to 3.51.2."""
    return (3, 7, 0) <= version <= (3, 51, 2)


def _library() -> Finding:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    found = f"apsw {apsw.apsw_version()} with SQLite {apsw.sqlite_lib_version()}"
    if not has_wal_bug(version):
        return Finding("sqlite", True, found)
    return Finding("sqlite", False, f"{found} has the WAL-reset bug", "pip install --upgrade 'apsw>=3.54'")


def _system_hint() -> str:
    if has_wal_bug(sqlite3.sqlite_version_info):
        return "Onstage does not use it; do not write to the file with it while a node runs (WAL-reset bug)"
    return "Onstage does not use it"


def _place(path: Path) -> Iterator[Finding]:
    folder = path.resolve().parent
    if not folder.is_dir():
        yield Finding("folder", False, f"{folder} is not there", f"mkdir -p {folder}")
        return
    can_write = os.access(folder, os.W_OK | os.X_OK)
    mend = None if can_write else f"give this user write permission on {folder}: the log lies beside the store"
    yield Finding("folder", can_write, f"{folder}{'' if can_write else ' cannot be written'}", mend)
    free = shutil.disk_usage(folder).free
    enough = free >= FREE_BYTES_MIN
    yield Finding(
        "disk", enough, f"{bytes_shown(free)} free", None if enough else "make room; a full disk stops the node"
    )


# The file.


def _file(path: Path) -> Iterator[Finding]:
    mode = path.stat().st_mode & 0o777
    usable = os.access(path, os.R_OK | os.W_OK)
    found = f"{path}, {bytes_shown(path.stat().st_size)}, mode {mode:o}"
    yield Finding("store", usable, found, None if usable else f"chmod u+rw {path}, or run as its owner")
    wal = Path(f"{path}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    mend = None if size <= WAL_BYTES_MAX else "look for a reader that never ends; it keeps the log from being reset"
    yield Finding("write-ahead log", mend is None, bytes_shown(size), mend)


def _inside(path: Path, at: Surroundings) -> Iterator[Finding]:
    try:
        with looking_at(path) as store:
            yield Finding("layout", True, f"{store.layout()}, the newest")
            yield Finding("kind", True, HOLDS[store.kind])
            mode = str(store.connection.pragma("journal_mode"))
            yield _durability(mode, read_meta(store.connection, "synchronous"))
            check = str(store.rows("check")[0][0])
            mend = None if check == "ok" else "stop the node, keep a copy of all files, restore a backup"
            yield Finding("integrity", mend is None, f"quick_check: {check}", mend)
            yield from _contents(store, at)
    except (OnstageError, apsw.Error) as error:
        yield Finding("contents", False, str(error).partition("\n")[0], _mend_in(str(error)))
    except Exception as error:  # noqa: BLE001  a Failure says what to do; anything else is told as it is
        yield Finding("contents", False, str(error).partition("\n")[0], _mend_in(str(error)))


def _durability(mode: str, synchronous: str | None) -> Finding:
    if mode != "wal":
        return Finding("durability", False, f"journal_mode={mode}", "start a node once: it sets the journal mode")
    if synchronous is None:
        found = "which synchronous= its writer used is not recorded; the next one to start does that"
        return Finding("durability", True, f"journal_mode=wal; {found}")
    found = f"journal_mode=wal; the newest writer runs with synchronous={synchronous}: {_SURVIVES[synchronous]}"
    mend = 'run with synchronous="FULL", or with "NORMAL" if you accept the loss' if synchronous == "OFF" else None
    return Finding("durability", mend is None, found, mend)


def _mend_in(text: str) -> str:
    return text.rpartition("to do: ")[2] if "to do: " in text else "restore a backup"


def _contents(store: StoreFile, at: Surroundings) -> Iterator[Finding]:
    counts = store.counts()
    found = f"{plural(counts.processes, 'process')}, {counts.open:,} open"
    yield Finding("processes", True, found)
    mend = "`onstage dead ls` says why, `onstage dead retry` tries again"
    if store.kind == "view":
        mend = "`onstage dead ls` says why; retry them in the stores of their services"
    yield Finding("history", True, _history(store))
    yield Finding("large payloads", True, _offloaded(store))
    aside = counts.set_aside
    yield Finding("dead letters", not aside, f"{aside:,}", mend if aside else None)
    app = _loaded(at)
    if app is None:
        return
    known = {handler.name for handler in app.manifest.handlers} | {
        former for handler in app.manifest.handlers for former in handler.was
    }
    counted = [(name.partition("@")[0], count) for name, count in store.rows("open_handlers")]
    lost = [f"{name} ({count:,})" for name, count in counted if name not in known]
    if lost:
        mend = "deploy a version that has them, name the new handler's past with was=..., or `onstage retire` them"
        yield Finding("handlers", False, f"open executions of handlers that the app lacks: {', '.join(lost)}", mend)
    else:
        yield Finding("handlers", True, "every open execution has its handler in the app")


def _offloaded(store: StoreFile) -> str:
    count, size, unused = store.rows("blobs")[0]
    if not count:
        return "none is offloaded"
    garbage = f", {unused:,} of them to be removed with the next commits" if unused else ""
    return f"{count:,} offloaded, {bytes_shown(size)}{garbage}"


def _history(store: StoreFile) -> str:
    return "; ".join([history_in(store).removeprefix("history "), *asyncio.run(under_way(store))])


# Who writes, and the app.


def _writer(path: Path) -> Iterator[Finding]:
    from onstage.runtime.local_socket import socket_path

    holder = lock_holder(path)
    if _is_view(path):
        found = "none runs on this store" if holder is None else f"process {holder} reads into this store"
        yield Finding("observer", True, found)
        return
    try:
        pid, runs = asyncio.run(_ping(path))
    except OnstageError as error:
        yield Finding("node", False, " ".join(str(error).partition("\n  to do:")[0].split()), _mend_in(str(error)))
        return
    if holder is None:
        stale = "; a socket of a dead node is there, the next one replaces it" if socket_path(path).exists() else ""
        yield Finding("node", True, f"none runs on this store{stale}")
        return
    if pid is None:
        mend = f"is process {holder} stopped or overloaded? `kill {holder}` lets another node take over"
        yield Finding("node", False, f"process {holder} has the store and does not answer at its socket", mend)
        return
    kind = "a node" if runs else "a client, which makes way for a node"
    yield Finding("node", True, f"process {pid}, {kind}, has the store and answers at {socket_path(path)}")


def _is_view(path: Path) -> bool:
    try:
        with looking_at(path) as store:
            return store.kind == "view"
    except Exception:  # noqa: BLE001  what is wrong with the file is a finding of its own
        return False


async def _ping(path: Path) -> tuple[int | None, bool]:
    from onstage.runtime.remote_door import call_when_running

    remote = await call_when_running(path)
    if remote is None:
        return None, False
    await remote.close()
    return remote.pid, remote.runs


def _loaded(at: Surroundings) -> App | None:
    try:
        return at.app()
    except Exception:  # noqa: BLE001  `_application` tells it
        return None


def _application(at: Surroundings) -> Iterator[Finding]:
    try:
        app = at.app()
    except Exception as error:  # noqa: BLE001  whatever keeps the app from being imported is the finding
        yield Finding("app", False, str(error).partition("\n  to do:")[0], _mend_in(str(error)))
        return
    found = f"{at.target}: {plural(len(app.services), 'service')}, {plural(len(app.manifest.handlers), 'handler')}"
    yield Finding("app", True, found)

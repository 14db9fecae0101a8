"""`onstage db`: the store's file itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apsw
import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import clean, plural, print_json
from onstage.reading.store_file import HOLDS, lock_holder, looking_at, newest_layout
from onstage.stores.sqlite import connection as files

__all__ = ["command"]


@click.group("db", short_help="The store's file: status, migrate, backup, path.")
def command() -> None:
    """The store's file."""


@command.command("path")
@surroundings
def show_path(at: Surroundings) -> None:
    """Say where the store's file is."""
    path = at.path().resolve()
    if at.is_json:
        print_json({"path": str(path), "exists": path.exists()})
    else:
        click.echo(str(path))


@command.command("status")
@surroundings
def status(at: Surroundings) -> None:
    """Say what is in the store: layout, size, rows, and who writes to it."""
    path = at.path()
    with looking_at(path) as store, store.snapshot():
        counts = store.counts()
        events, executions, entries, receipts = store.rows("sizes")[0]
        blobs, blob_bytes, _ = store.rows("blobs")[0]
        found: dict[str, Any] = {
            "path": str(path.resolve()),
            "holds": HOLDS[store.kind],
            "layout": store.layout(),
            "newest_layout": newest_layout(),
            "bytes": path.stat().st_size,
            "wal_bytes": size_of(Path(f"{path}-wal")),
            "writer": lock_holder(path),
            "processes": counts.processes,
            "open": counts.open,
            "dead_letters": counts.set_aside,
            "events": events,
            "executions": executions,
            "entries": entries,
            "receipts": receipts,
            "blobs": blobs,
            "blob_bytes": blob_bytes,
        }
    if at.is_json:
        print_json(found)
        return
    for name, value in found.items():
        text = f"{value:,}" if isinstance(value, int) and name != "writer" else value or "nobody"
        click.echo(f"{name.replace('_', ' '):>14}  {clean(text)}")


def size_of(path: Path) -> int:
    """The size of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


@command.command("migrate")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@surroundings
def migrate(at: Surroundings, *, dry_run: bool) -> None:
    """Bring the file to the newest layout; no node may run meanwhile. A node does the same when it starts."""
    path = at.path()
    if not path.exists():
        why = "a node makes it when it starts"
        raise Failure(f"there is no store at {path}", why, "start one with `onstage run`", code=Exit.UNREACHABLE)
    reader = files.open_reader(path)
    before = int(reader.pragma("user_version"))
    reader.close()
    if not dry_run and before != newest_layout():
        _migrate(path)
    after = before if dry_run else newest_layout()
    if at.is_json:
        print_json({"from": before, "to": newest_layout(), "done": not dry_run})
    elif before == newest_layout():
        click.echo(f"layout {before} is the newest, nothing to do")
    else:
        click.echo(f"layout {before} -> {newest_layout()}" + (" would be done" if after == before else ", done"))


def _migrate(path: Path) -> None:
    descriptor = files.lock(path)
    try:
        writer = files.open_writer(path, "FULL")
        try:
            files.migrate(writer, path)
        finally:
            writer.close()
    finally:
        files.unlock(descriptor)


@command.command("backup")
@click.argument("destination", type=click.Path(path_type=Path))
@surroundings
def backup(at: Surroundings, *, destination: Path) -> None:
    """Write a consistent copy to DESTINATION, also while a node runs. It is checked, and never overwrites a file."""
    if destination.is_dir():
        destination /= at.path().name
    if destination.exists():
        mend = "name another file, or remove that one"
        raise Failure(f"{destination} is there already", "a backup never overwrites", mend, code=Exit.USAGE)
    partial = destination.with_name(f"{destination.name}.partial")
    with looking_at(at.path()) as store:
        try:
            _copy(store.connection, partial)
            partial.rename(destination)
            _make_durable(destination.parent)
        finally:
            for left in ("", "-journal", "-wal", "-shm"):
                Path(f"{partial}{left}").unlink(missing_ok=True)
    size = destination.stat().st_size
    if at.is_json:
        print_json({"path": str(destination.resolve()), "bytes": size})
    else:
        click.echo(f"{destination}: {plural(size, 'byte')}, checked")


def _copy(source: apsw.Connection, partial: Path) -> None:
    partial.unlink(missing_ok=True)
    try:
        target = apsw.Connection(str(partial))
        try:
            target.execute("PRAGMA synchronous = FULL")
            with target.backup("main", source, "main") as copying:
                copying.step(-1)  # in one go: a node that writes meanwhile would make it begin anew
            target.pragma("journal_mode", "delete")
            found = target.pragma("quick_check")
        finally:
            target.close()
    except apsw.Error as error:
        mend = "check the place, its permissions and its space"
        raise Failure(f"cannot write {partial}", str(error), mend) from error
    if found != "ok":
        raise Failure("the copy is damaged", str(found), "run `onstage doctor` on the store")


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

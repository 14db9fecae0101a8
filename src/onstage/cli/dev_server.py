"""`onstage dev`: runs the app as a process of its own, and runs it anew whenever a Python file changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Final

import click

from onstage.cli.options import Surroundings, app_argument, surroundings
from onstage.cli.printing import note, plural

__all__ = ["changes", "command", "snapshot", "start_ui"]

POLL_S: Final = 0.4
STOP_S_MAX: Final = 15.0
FILES_MAX: Final = 20_000
_PASSED_OVER: Final = frozenset({"__pycache__", "node_modules", "venv", "site-packages"})

Snapshot = dict[Path, int]


@click.command("dev", short_help="Run the app and run it anew whenever a file changes.")
@app_argument
@click.option("--nats", "apart", is_flag=True, help="Every service in a process of its own, over a NATS server.")
@click.option("--ui/--no-ui", "with_ui", default=True, show_default=True, help="Answer with the web UI as well.")
@surroundings
def command(at: Surroundings, *, apart: bool, with_ui: bool) -> None:
    """Run APP, and run it anew whenever a .py file below the present folder changes. Ctrl-C ends it.

    The web UI answers beside it, at the address that is printed.

    With --nats it starts a NATS server, an observer and one process per service, each with a store in .onstage/.
    """
    target = at.target or "app:app"
    files = snapshot(Path.cwd())
    note(f"watching {plural(len(files), 'file')} below {Path.cwd()}; Ctrl-C ends it")
    interrupted = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    if apart:
        _run_apart(target, at.folder, files, interrupted, with_ui=with_ui)
        return
    beside = start_ui(at.store) if with_ui else None
    try:
        _run_together(target, at.store, files, interrupted)
    finally:
        _stop(beside)


def _run_together(target: str, store: str, files: Snapshot, interrupted: Event) -> None:
    child: subprocess.Popen[bytes] | None = _start(target, store)
    try:
        while not interrupted.wait(POLL_S):
            present = snapshot(Path.cwd())
            changed, files = changes(files, present), present
            child = _looked_after(child, changed, target, store)
    finally:
        _stop(child)


def _run_apart(target: str, root: Path, files: Snapshot, interrupted: Event, *, with_ui: bool) -> None:
    from onstage.cli.dev_apart import Troupe

    troupe = Troupe(target, root, _see_off)
    beside: subprocess.Popen[bytes] | None = None
    try:
        troupe.start()
        beside = start_ui(troupe.view) if with_ui else None
        while not interrupted.wait(POLL_S):
            present = snapshot(Path.cwd())
            changed, files = changes(files, present), present
            if changed:
                note(f"\n{', '.join(path.name for path in changed[:3])} changed; the services are run anew")
            troupe.look_after(changed=bool(changed))
    finally:
        _stop(beside)
        troupe.stop()
    note("stopped")


def _looked_after(
    child: subprocess.Popen[bytes] | None, changed: list[Path], target: str, store: str
) -> subprocess.Popen[bytes] | None:
    if changed:
        note(f"\n{', '.join(path.name for path in changed[:3])} changed; the app is run anew")
        _stop(child)
        return _start(target, store)
    if child is not None and child.poll() is not None:
        note(f"the app ended with exit code {child.returncode}; it is run anew when a file changes")
        return None
    return child


def _start(target: str, store: str) -> subprocess.Popen[bytes]:
    # No broker, whichever is remembered: all services run together.
    arguments = ["run", target, "--store", store, "--broker", "", "--handlers", "--log-level", "warning"]
    # A session of its own: Ctrl-C reaches the app through us only, so that it is told once.
    return subprocess.Popen([sys.executable, "-m", "onstage.cli.main", *arguments], start_new_session=True)


def start_ui(store: str) -> subprocess.Popen[bytes] | None:
    """The web UI over a store, as a process of its own, which outlives every restart of the app; None if it is away."""
    from onstage.cli.serve_ui import is_installed

    if not is_installed():
        note("there is no web UI here: pip install 'onstage[web]'")
        return None
    return subprocess.Popen([sys.executable, "-m", "onstage.cli.main", "ui", store], start_new_session=True)


def _stop(child: subprocess.Popen[bytes] | None) -> None:
    if child is None or child.poll() is not None:
        return
    child.terminate()
    _see_off(child)


def _see_off(child: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was told to end, and kill it if it does not."""
    try:
        child.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def snapshot(folder: Path) -> Snapshot:
    """The Python files below a folder and when each was changed (ns); hidden folders and packages are passed over."""
    found: Snapshot = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _PASSED_OVER]
        for path in (Path(place, name) for name in names if name.endswith(".py")):
            try:
                found[path] = path.stat().st_mtime_ns
            except OSError:
                continue
        if len(found) > FILES_MAX:
            break
    return found


def changes(before: Snapshot, after: Snapshot) -> list[Path]:
    """The files that came, went or changed between two snapshots, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

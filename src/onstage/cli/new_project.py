"""`onstage new`: a folder with a small app of two services, a test, some events, and a README."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import print_json

__all__ = ["command"]

_FILES: Final = ("app.py", "test_app.py", "events.jsonl", "pyproject.toml", "README.md", ".gitignore")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


@click.command("new", short_help="Begin a project: a folder with a small app that runs.")
@click.argument("name", type=click.Path(path_type=Path))
@surroundings
def command(at: Surroundings, *, name: Path) -> None:
    """Make the folder NAME with a small app of two services that runs as it is."""
    title = name.resolve().name
    if not _NAME.fullmatch(title):
        mend = "use letters, digits, - and _, such as prop-shop"
        raise Failure(f"{title!r} cannot name a project", "packaging tools refuse it", mend, code=Exit.USAGE)
    if name.exists() and (not name.is_dir() or any(name.iterdir())):
        mend = "choose another name, or empty it first"
        raise Failure(f"{name} is there already", "nothing of yours is overwritten", mend, code=Exit.USAGE)
    name.mkdir(parents=True, exist_ok=True)
    for file in _FILES:
        text = (files("onstage.cli") / "template" / f"{file.lstrip('.')}.txt").read_text(encoding="utf-8")
        (name / file).write_text(text.replace("PROJECT", title), encoding="utf-8")
    if at.is_json:
        print_json({"folder": str(name.resolve()), "files": _FILES})
        return
    click.echo(f"{name}/ has {', '.join(_FILES)}. Next, in two terminals:")
    click.echo(f"\n  cd {name} && onstage dev\n  cd {name} && onstage emit --file events.jsonl --wait")

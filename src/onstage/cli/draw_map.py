"""`onstage map`: who emits what and who reacts, as declared or as the store saw it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from onstage.cli.check_app import declared
from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_argument, manifest_option, surroundings
from onstage.cli.printing import clean, note, plural
from onstage.observe.map_drawing import as_dot, as_mermaid, as_text
from onstage.observe.service_map import ServiceMap, Tally, declared_map, narrowed, observed_map

if TYPE_CHECKING:
    from onstage.reading.store_file import StoreFile

__all__ = ["command", "tally_of"]

PAGE: Final = 2_000

FORMATS: Final[Mapping[str, Callable[[ServiceMap], str]]] = {
    "text": as_text,
    "mermaid": as_mermaid,
    "dot": as_dot,
    "json": lambda drawn: msgspec.json.encode(drawn).decode() + "\n",
}


@click.command("map", short_help="Draw who emits what and who reacts, declared or observed.")
@app_argument
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="How to draw; text, or json with -o json.")
@click.option("--observed", is_flag=True, help="Count what the store saw on each edge, and mark the differences.")
@click.option("-s", "--service", "services", multiple=True, metavar="SERVICE", help="Only around this one; repeatable.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only around this event type; repeatable.")
@manifest_option
@surroundings
def command(
    at: Surroundings,
    *,
    form: str | None,
    observed: bool,
    services: tuple[str, ...],
    types: tuple[str, ...],
    files: tuple[Path, ...],
) -> None:
    """Draw APP, or what --store and --manifest declare: handlers, the events that start them, those that they emit."""
    manifest, _ = declared(at, files)
    drawn = declared_map(manifest)
    if observed:
        drawn = observed_map(drawn, _observed(at))
    for name in (*services, *types):
        if name not in drawn.services and name not in drawn.events:
            why, mend = "neither the manifest nor the store has that name", "see `onstage map` without it"
            raise Failure(f"there is no {clean(name)} to draw", why, mend, code=Exit.USAGE)
    drawn = narrowed(drawn, services=services, types=types)
    marks = [drawn.mark(edge) for edge in drawn.edges]
    if observed:
        unseen, undeclared = marks.count("never seen"), marks.count("not declared")
        note(f"{plural(len(marks), 'edge')}: {unseen:,} declared but never seen, {undeclared:,} seen but not declared")
    click.echo(FORMATS[form or ("json" if at.is_json else "text")](drawn), nl=False)


def _observed(at: Surroundings) -> Tally:
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        if store.kind == "part":
            note("this store has one service's part: an observer's has the whole (`onstage observe`)")
        return tally_of(store)


def tally_of(store: StoreFile, page: int = PAGE) -> Tally:
    """What the store saw, read in pages of so many rows, so that memory does not grow with the store."""
    tally = Tally()
    after = 0
    while rows := store.rows("map_events", after=after, limit=page):
        after = rows[-1][0]
        for _, type_name, handler in rows:
            tally.event(type_name, handler)
    after = 0
    while rows := store.rows("map_executions", after=after, limit=page):
        after = rows[-1][0]
        for _, type_name, handler, status, took_ms in rows:
            tally.execution(type_name, handler, status, took_ms)
    place = {"handler": -1, "process": -1, "n": -1}
    while rows := store.rows("map_mail", **place, limit=page):
        place = dict(zip(place, rows[-1], strict=False))
        for *_, type_name, handler in rows:
            tally.mail(type_name, handler)
    return tally

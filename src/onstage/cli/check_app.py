"""`onstage check`: what cannot work, found from manifests alone, before anything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
from click.core import ParameterSource

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_argument, manifest_option, surroundings
from onstage.cli.printing import clean, note, plural, print_json, print_table
from onstage.contracts.check import Report, check, merged
from onstage.contracts.check_codes import CODES, Finding
from onstage.contracts.coupling import Impact, impact_of
from onstage.contracts.event_graph import EventGraph
from onstage.contracts.manifest import AppManifest, from_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onstage.app import App

__all__ = ["command", "declared", "lines_at_start", "read_manifest"]

LINES_AT_START: Final = 3
"""So many findings a node tells when it starts; `onstage check` shows all."""


@click.command("check", short_help="Look for what cannot work, before anything runs.")
@app_argument
@manifest_option
@click.option("--ignore", multiple=True, metavar="CODE", help="Leave out findings with this code; repeatable.")
@click.option("--coupling", is_flag=True, help="Show which services hear and ask which.")
@click.option("--impact", metavar="TYPE", help="Show whom a change of this event type concerns.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write what was checked as a manifest.")
@surroundings
def command(
    at: Surroundings,
    *,
    files: tuple[Path, ...],
    ignore: tuple[str, ...],
    coupling: bool,
    impact: str | None,
    save: Path | None,
) -> int:
    """Look for what cannot work in APP, or in what --store and --manifest declare: also in services of others.

    Nothing runs. Exit code 1 if there is an error; warnings and notes do not count.
    """
    manifest, places = declared(at, files)
    _refuse_unknown(ignore, impact, manifest)
    report = check(manifest, places=places, ignore=ignore)
    concerned = None if impact is None else impact_of(EventGraph(manifest), impact)
    if save is not None:
        save.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    if at.is_json:
        print_json({**msgspec.to_builtins(report), "impact": concerned})
    else:
        _print(report, manifest, concerned, coupling=coupling)
    return Exit.OK if report.is_well else Exit.FOUND


def declared(at: Surroundings, files: Sequence[Path]) -> tuple[AppManifest, Mapping[str, str]]:
    """What the app, or the files and the store that the present command names, declare; and where handlers are."""
    context = click.get_current_context()

    def is_named(option: str) -> bool:
        return context.get_parameter_source(option) is ParameterSource.COMMANDLINE

    found = [read_manifest(path) for path in files]
    if is_named("store"):
        found.append(_stored(at))
    if found and not is_named("app"):
        return merged(found), {}
    app = at.app()
    return merged([app.manifest, *found]), _places(app)


def _places(app: App) -> dict[str, str]:
    return {handler.full_name: handler.where for service in app.services for handler in service.handlers}


def read_manifest(path: Path) -> AppManifest:
    """The manifest in a file. Raises Failure (usage) for a file that holds none, OSError for one that is not there."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=AppManifest)
    except msgspec.DecodeError as error:
        mend = "write one with `onstage check app:app --save FILE`"
        raise Failure(f"{path} holds no manifest", str(error), mend, code=Exit.USAGE) from error


def _stored(at: Surroundings) -> AppManifest:
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        manifest = from_stored(asyncio.run(store.reader.manifest()))
    if manifest == AppManifest():
        why, mend = "no app has declared anything there, or another version did", "run the app on it once"
        raise Failure(f"there is no manifest in {at.store}", why, mend)
    return manifest


def _refuse_unknown(ignore: Sequence[str], impact: str | None, manifest: AppManifest) -> None:
    for code in ignore:
        if code not in CODES:
            mend = f"there are {', '.join(CODES)}"
            raise Failure(f"there is no code {clean(code)}", "nothing is ever found under it", mend, code=Exit.USAGE)
    if impact is not None and impact not in EventGraph(manifest).heard:
        why, mend = "no handler and no process names it", "see `onstage map`, or correct the name"
        raise Failure(f"there is no event type {clean(impact)}", why, mend, code=Exit.USAGE)


def _print(report: Report, manifest: AppManifest, impact: Impact | None, *, coupling: bool) -> None:
    for finding in report.findings:
        click.echo(_text(finding))
    if coupling:
        rows = [
            [each.service, *(", ".join(names) or "-" for names in (each.hears, each.heard_by, each.asks))]
            for each in report.coupling
        ]
        print_table(["SERVICE", "HEARS", "HEARD BY", "ASKS"], rows)
    if impact is not None:
        _print_impact(impact)
    counts = {kind: sum(each.severity == kind for each in report.findings) for kind in ("error", "warning")}
    notes = len(report.findings) - sum(counts.values())
    ignored = f", {report.ignored} ignored" if report.ignored else ""
    services = len({each.service for each in manifest.handlers})
    size = f"{plural(services, 'service')}, {plural(len(manifest.handlers), 'handler')}"
    found = f"{plural(counts['error'], 'error')}, {plural(counts['warning'], 'warning')}, {plural(notes, 'note')}"
    note(f"{size}: {found}{ignored}")


def _print_impact(impact: Impact) -> None:
    click.echo(f"a change of {clean(impact.type)} concerns")
    rows = (
        ("makers", impact.makers),
        ("readers", impact.readers),
        ("started by what follows", impact.downstream),
        ("processes", impact.process),
    )
    for word, names in rows:
        click.echo(f"  {word}: {clean(', '.join(names)) or 'none'}")


def _text(finding: Finding) -> str:
    colour = {"error": "red", "warning": "yellow"}.get(finding.severity)
    lines = [f"{click.style(finding.severity, fg=colour)} {finding.code}: {clean(finding.what)}"]
    if finding.where is not None:
        lines.append(f"  at: {clean(finding.where)}")
    if finding.path:
        lines.append(f"  way: {clean(' -> '.join(finding.path))}")
    return "\n".join([*lines, f"  to do: {clean(finding.mend)}"])


def lines_at_start(app: App, services: Sequence[str]) -> list[str]:
    """What a node that starts says about what it runs (`services`, all if empty): a few lines, none if all is well."""
    report = check(app.manifest)
    found = [
        each
        for each in report.findings
        if each.severity != "info" and (not services or each.service is None or each.service in services)
    ]
    lines = [f"{each.severity} {each.code}: {clean(each.what)}" for each in found[:LINES_AT_START]]
    more = f"; {len(found) - LINES_AT_START} more" if len(found) > LINES_AT_START else ""
    return [*lines, f"`onstage check` shows all, and what to do{more}"] if found else []

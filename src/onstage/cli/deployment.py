"""`onstage deploy`: writes what runs services apart on a machine, and says what to do with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_argument, broker_option, surroundings
from onstage.cli.printing import note, print_json
from onstage.cli.unit_files import OBSERVER, Deployment, environment_file, procfile, systemd_units
from onstage.cli.until_stopped import shown_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["command"]


@click.group("deploy", short_help="Write unit files, a Procfile, or what watches them.")
def command() -> None:
    """Write files that run each service of an app as a process of its own over a broker, or that watch nodes."""


def _writes(function: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        surroundings,
        click.option("--force", is_flag=True, help="Overwrite files that are there."),
        click.option(
            "--folder", type=click.Path(path_type=Path), default=Path(), help="Where to write. [the present folder]"
        ),
        broker_option,
        app_argument,
    ):
        function = decorate(function)
    return function


@command.command("systemd")
@_writes
def systemd(at: Surroundings, *, folder: Path, force: bool) -> None:
    """Write a unit for each service of APP and one for the observer."""
    of = _deployment(at)
    units = systemd_units(of)
    _write(at, folder, units, force=force)
    names = " ".join(units)
    _next(
        at,
        f"sudo useradd --system --home-dir /var/lib/{of.name} {of.name}",
        f"sudo install -m 600 /dev/null {environment_file(of)}"
        "    # for ONSTAGE_BROKER=nats://user:password@..., if there is a login",
        f"cd {folder} && sudo cp {names} /etc/systemd/system/",
        f"sudo systemctl daemon-reload && sudo systemctl enable --now {names}",
        f"sudo -u {of.name} {of.python} -m onstage.cli.main ps --store sqlite:////var/lib/{of.name}/view.db",
    )


@command.command("procfile")
@_writes
def write_procfile(at: Surroundings, *, folder: Path, force: bool) -> None:
    """Write a Procfile with a line for each service of APP and one for the observer."""
    _write(at, folder, procfile(_deployment(at)), force=force)
    _next(
        at,
        "mkdir -p stores",
        "run the Procfile with any runner, such as `honcho start`",
        "onstage ps --store sqlite:///stores/view.db",
    )


@command.command("monitoring")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Where to write. [the present folder]")
@surroundings
def write_monitoring(at: Surroundings, *, folder: Path, force: bool) -> None:
    """Write a dashboard for Grafana and alert rules for Prometheus."""
    from onstage.telemetry.monitoring import monitoring_files

    _write(at, folder, monitoring_files(), force=force)
    _next(
        at,
        "have Prometheus scrape each node: `onstage run --metrics-port 9464`, or /metrics of a mounted stage",
        "add prometheus/alerts.yml to its rule_files",
        "import grafana/onstage.json as a dashboard",
    )


def _deployment(at: Surroundings) -> Deployment:
    if at.broker is None:
        why = "services that run apart exchange their events over one"
        mend = "name it with --broker nats://localhost:4222, or as ONSTAGE_BROKER"
        raise Failure("which broker?", why, mend, code=Exit.USAGE)
    if shown_broker(at.broker) != at.broker:
        raise Failure(
            "the broker's URL holds a login",
            "what is written here can be read by others",
            "name the broker without it, and put ONSTAGE_BROKER=... with it into the environment of the services",
            code=Exit.USAGE,
        )
    services = tuple(service.name for service in at.app().services)
    if OBSERVER in services:
        why = "the observer's file would have the same name"
        raise Failure(f"a service is called {OBSERVER}", why, "rename the service", code=Exit.USAGE)
    return Deployment(str(at.target), services, at.broker, sys.executable, at.folder.resolve())


def _write(at: Surroundings, folder: Path, files: Mapping[str, str], *, force: bool) -> None:
    present = [name for name in files if (folder / name).exists()]
    if present and not force:
        raise Failure(
            f"{folder / present[0]} is there already",
            "it may have been changed by hand",
            "look at it, then add --force, or write elsewhere with --folder",
            code=Exit.USAGE,
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    if at.is_json:
        print_json({"written": [str(folder / name) for name in files]})
        return
    for name in files:
        click.echo(f"wrote {folder / name}")


def _next(at: Surroundings, *steps: str) -> None:
    if at.is_json:
        return
    note("\nwhat to do next:")
    for step in steps:
        note(f"  {step}")

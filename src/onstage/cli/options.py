"""What every command takes, and the surroundings made of it: which store, which app, which kind of output."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import click

from onstage.cli.failures import Exit, Failure
from onstage.reading.settings import STORE_DEFAULT, find_settings

if TYPE_CHECKING:
    from onstage.app import App

__all__ = [
    "Surroundings",
    "app_argument",
    "app_option",
    "broker_option",
    "bulk_options",
    "confirmed",
    "limit_option",
    "manifest_option",
    "moment_ms",
    "surroundings",
    "webhook_option",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@final
@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a command works: the store's URL, the app (as `module:attribute`), the kind of output, the broker's URL."""

    store: str
    target: str | None
    is_json: bool
    folder: Path
    broker: str | None = None
    alert_webhook: str | None = None

    def app(self) -> App:
        """Import the app. Raises Failure if there is none."""
        from onstage.cli.application import load_app

        return load_app(self.target, self.folder, Path.cwd())

    def path(self) -> Path:
        """The store's file. Raises Failure if the store has none, UsageError for an unknown kind."""
        from onstage.app import store_path

        path = store_path(self.store)
        if path is None:
            raise Failure(
                f"{self.store} cannot be looked at",
                "a memory store lives inside its own process",
                "name a file: --store sqlite:///shop.db",
                code=Exit.USAGE,
            )
        return path


def surroundings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--store`, `-o` and `--debug`; its function gets `Surroundings` first, then its own options."""

    @click.option(
        "--store", envvar="ONSTAGE_STORE", metavar="URL", help=f"The store; else pyproject.toml, else {STORE_DEFAULT}."
    )
    @click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
    @click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    @functools.wraps(function)
    def wrapped(
        *,
        store: str | None,
        output: str,
        app: str | None = None,
        broker: str | None = None,
        alert_webhook: str | None = None,
        **options: Any,
    ) -> Any:
        settings = find_settings(Path.cwd())
        url = store or settings.store or STORE_DEFAULT
        named = settings.broker if broker is None else broker  # an empty one is none, whatever is remembered
        webhook = alert_webhook or settings.alert_webhook
        at = Surroundings(url, app or settings.app, output == "json", settings.folder, named or None, webhook)
        return function(at, **options)

    return wrapped


app_argument: Final[Decorator] = click.argument("app", required=False)
"""The app as an argument: `onstage run app:app`."""

app_option: Final[Decorator] = click.option(
    "--app", envvar="ONSTAGE_APP", metavar="APP", help="The app as module:attribute; else pyproject.toml."
)
"""The app as an option, where arguments mean something else."""

broker_option: Final[Decorator] = click.option(
    "--broker", envvar="ONSTAGE_BROKER", metavar="URL", help="The broker, such as nats://host; else pyproject.toml."
)
"""Where services that run apart exchange their events."""

manifest_option: Final[Decorator] = click.option(
    "-m",
    "--manifest",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A manifest that `onstage check --save` wrote; repeatable.",
)
"""Services of which only the manifest is here: its function gets the paths as `files`."""


webhook_option: Final[Decorator] = click.option(
    "--alert-webhook",
    envvar="ONSTAGE_ALERT_WEBHOOK",
    metavar="URL",
    help="Told by POST when a process is stuck, overdue, a dead end or reopened; else pyproject.toml.",
)
"""Who is told what should not be."""


def limit_option(default: int) -> Decorator:
    """How much to list at most."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(1, 100_000),
        default=default,
        show_default=True,
        help="List at most so many.",
    )


def bulk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--dry-run` and `--yes`, for what changes many things at once."""

    @click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    @functools.wraps(function)
    def wrapped(**options: Any) -> Any:
        return function(**options)

    return wrapped


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on; without a terminal the answer must be given with `--yes`."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise Failure(
            question, "there is no terminal to ask on", "add --yes, or look first with --dry-run", code=Exit.USAGE
        )
    return click.confirm(question, err=True)


def moment_ms(option: str, text: str) -> int:
    """A time as milliseconds: as ISO 8601, without a zone in UTC; or as a duration ago. Raises click's UsageError."""
    from onstage.events.duration import seconds
    from onstage.ports.clock import SystemClock

    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        try:
            return round(SystemClock().now_ms() - seconds(text) * 1000)
        except ValueError as error:
            raise click.UsageError(f"{option}: {text!r} is neither a time nor a duration: {error}") from error
    return round((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp() * 1000)

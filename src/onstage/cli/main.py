"""The entry of the command line: which commands there are. A command's module is imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn, final

import click

from onstage.cli.failures import report

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "new": ("new_project", "Begin a project: a folder with a small app that runs."),
    "dev": ("dev_server", "Run the app and run it anew whenever a file changes."),
    "run": ("run_node", "Run the app as a node until it is told to stop."),
    "observe": ("run_observer", "Watch services that run apart; gives verdicts and a file to look at."),
    "emit": ("emit_events", "Emit one event, or a file of events."),
    "start": ("start_workflow", "Start a workflow."),
    "ask": ("ask_request", "Ask a request, and print the answer."),
    "cancel": ("cancel_execution", "Cancel an execution or a process: what was done is undone."),
    "undo": ("undo_process", "Undo what a process did, in every service."),
    "skip": ("skip_step", "Let a stuck step, or an undo, count as done."),
    "resolve": ("resolve_residue", "Say that the residue of an undone process was mended by hand."),
    "restart": ("restart_workflow", "Start a workflow again, with the input it had."),
    "ui": ("serve_ui", "Look at a store in the browser."),
    "ps": ("list_processes", "List processes: verdict, where each is now, age."),
    "show": ("show_process", "Show one process: everything that happened, as a tree."),
    "dead": ("dead_letters", "Dead letters: list, show, retry or drop them."),
    "services": ("list_services", "List services and handlers: what is open, what is paused."),
    "pause": ("pause_handler", "Let a handler or a service begin nothing."),
    "resume": ("resume_handler", "Let a paused handler or service go on."),
    "audit": ("list_operations", "What operators did: who, when, what, on what."),
    "waits": ("list_waits", "List what waits for an event, and until when."),
    "timers": ("list_timers", "List what is due next."),
    "schedules": ("manage_schedules", "Schedules: list, pause, resume or backfill them."),
    "subscriptions": ("list_subscriptions", "Who hears what, how far history is; deliver it once more."),
    "retire": ("retire_handler", "Write off what a handler left open that is gone from the code."),
    "versions": ("code_versions", "Count open executions by the code that they run on."),
    "replay": ("replay_journals", "Run stored journals against the present code, without effects."),
    "complete": ("complete_step", "Complete a step from outside by its token."),
    "state": ("list_state", "Keyed state of services: list it, show one."),
    "events": ("read_events", "Read the event log."),
    "check": ("check_app", "Look for what cannot work, before anything runs."),
    "map": ("draw_map", "Draw who emits what and who reacts, declared or observed."),
    "db": ("database", "The store's file: status, migrate, backup, path."),
    "sql": ("query_sql", "Ask the store with SQL; it can only read."),
    "doctor": ("doctor", "Look for what is wrong, and say how to mend it."),
    "deploy": ("deployment", "Write unit files or a Procfile for services that run apart."),
    "bench": ("bench", "Measure this machine."),
    "sim": ("run_sim", "Try the engine in generated worlds full of faults."),
}
"""The commands, in the order in which they are listed: module (its `command`) and what it is for."""


@final
class LazyGroup(click.Group):
    """Imports a command when it is called, and turns every error into three lines and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None for a name that is not in the table."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"onstage.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands for `--help` without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run a command and exit: 0 ok, 1 found problems, 2 usage, 3 unreachable, 130 interrupted."""
        arguments = list(sys.argv[1:] if args is None else args)
        extra |= {"prog_name": "onstage", "standalone_mode": False}
        try:
            code = super().main(arguments, **extra)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the outermost place
            code = report(error, debug="--debug" in arguments)
        sys.exit(code if isinstance(code, int) else 0)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="onstage")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Durable choreography for Python microservices.

    APP is module:attribute, such as `app:app`. It and the store are remembered in pyproject.toml:
    [tool.onstage] app = "app:app", store = "sqlite:///shop.db", broker = "nats://localhost:4222".
    Exit codes: 0 ok, 1 found problems, 2 usage, 3 unreachable.
    """


def main() -> None:
    """The entry point of the `onstage` script."""
    cli.main()


if __name__ == "__main__":
    main()

"""Which processes a command means: the filters of `onstage ps`, for those too that act on many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from onstage.cli.failures import Exit, text_of
from onstage.cli.options import Surroundings, confirmed
from onstage.cli.printing import clean, note, plural, print_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from onstage.ports.store import ProcessView
    from onstage.reading.heartbeats import Heartbeat
    from onstage.reading.process_rows import Row
    from onstage.reading.store_file import StoreFile

__all__ = ["BULK_MAX", "act_on_all", "is_filtered", "milliseconds", "process_filters", "rows_of"]

BULK_MAX: Final = 10_000
"""So many processes one command acts on at most."""

NAMED_MAX: Final = 20

_VERDICTS: Final = (
    *("running", "waiting", "stuck", "completed", "dead end"),
    *("compensating", "compensated", "compensated with residue"),
)


def process_filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters; its function gets them by name, None, False or empty if not given."""
    for decorate in (
        click.option("--since", metavar="DURATION", help='Only those begun within, such as "1h" or "3d".'),
        click.option("--older", metavar="DURATION", help='Only those begun longer ago than, such as "2d".'),
        click.option("--verdict", "verdicts", type=click.Choice(_VERDICTS), multiple=True, help="Only so; repeatable."),
        click.option("--violated", is_flag=True, help="Only those that have broken a rule (`expect(...)`)."),
        click.option("--overdue", is_flag=True, help="Only those with a milestone or deadline that is overdue."),
        click.option(
            "--stuck", is_flag=True, help="Only those with something set aside, or behind it, or a handler gone."
        ),
        click.option("--open", "open_only", is_flag=True, help="Only those that are not finished."),
        click.option("--type", help="Only of this declared process, or begun by this event type."),
        click.option("--key", help="Only with this business key."),
    ):
        function = decorate(function)
    return function


def is_filtered(filters: dict[str, Any]) -> bool:
    """Whether any filter was given."""
    return any(bool(wanted) for wanted in filters.values())


async def rows_of(
    store: StoreFile,
    now_ms: int,
    *,
    since: str | None,
    older: str | None,
    verdicts: tuple[str, ...],
    **filters: Any,
) -> AsyncIterator[tuple[ProcessView, Row]]:
    """The processes that fit, the newest first, as they are listed. Raises click's UsageError for a wrong duration."""
    from onstage.reading.heartbeats import heartbeats_in
    from onstage.reading.process_rows import find_processes, row_of

    begun_after = 0 if since is None else now_ms - milliseconds(since)
    begun_before = None if older is None else now_ms - milliseconds(older, "--older")
    beats: dict[int, list[Heartbeat]] = await heartbeats_in(store.reader)
    async for view in find_processes(store, begun_after=begun_after, begun_before=begun_before, **filters):
        row = await row_of(store, view, now_ms, beats)
        if not verdicts or row.verdict in verdicts:
            yield view, row


def milliseconds(since: str, option: str = "--since") -> float:
    """A duration such as "3d", in ms. Raises click's UsageError if it is none."""
    from onstage.events.duration import seconds

    try:
        return seconds(since) * 1000
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def act_on_all(
    at: Surroundings,
    action: str,
    fits: Callable[[ProcessView], bool],
    filters: dict[str, Any],
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Cancel or undo every process that the filters mean and that `fits`; tells each. Exit code 1 if one is refused."""
    found = asyncio.run(_found(at, fits, filters))
    if dry_run:
        return _dry(at, action, found)
    if found and not confirmed(f"{action} {plural(len(found), 'process')}?", yes=yes):
        return Exit.FOUND
    done, refused = asyncio.run(_act(at, action, [row.process for row in found]))
    if at.is_json:
        print_json({"action": action, "dry_run": False, "processes": done, "refused": [r._asdict() for r in refused]})
    elif not found:
        click.echo("no process fits")
    return Exit.FOUND if refused else Exit.OK


async def _found(at: Surroundings, fits: Callable[[ProcessView], bool], filters: dict[str, Any]) -> list[Row]:
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at

    found: list[Row] = []
    with looking_at(at.path()) as store, store.snapshot():
        async for view, row in rows_of(store, SystemClock().now_ms(), **filters):
            if fits(view) and len(found) < BULK_MAX:
                found.append(row)
    return found


def _dry(at: Surroundings, action: str, found: list[Row]) -> int:
    if at.is_json:
        print_json({"action": action, "dry_run": True, "processes": [row.process for row in found]})
        return Exit.OK
    for row in found[:NAMED_MAX]:
        note(f"would {action} {clean(row.key or row.process)}  {row.type}: {row.verdict}")
    click.echo(f"would {action} {plural(len(found), 'process')}; nothing was done")
    return Exit.OK


class _Refused(NamedTuple):
    process: str
    reason: str


async def _act(at: Surroundings, action: str, processes: list[str]) -> tuple[list[str], list[_Refused]]:
    from onstage.app import connect
    from onstage.cli.node_access import person

    done: list[str] = []
    refused: list[_Refused] = []
    if not processes:
        return done, refused
    async with connect(at.store, at.app()) as client:
        for process in processes:
            why = await _one(lambda process=process: client.control(action, process, by=person()), at)  # type: ignore[misc]
            if why is None:
                done.append(process)
            else:
                refused.append(_Refused(process, why))
    return done, refused


async def _one(act: Callable[[], Awaitable[str]], at: Surroundings) -> str | None:
    """Act on one and tell it; answers why it was refused, if it was."""
    from onstage.errors import UsageError

    try:
        told = await act()
    except (LookupError, UsageError) as error:
        note(text_of(error))
        return str(error)
    click.echo(clean(told), err=at.is_json)
    return None

"""`onstage dead`: executions that were set aside, with what an operator can do about them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from onstage.cli.failures import Exit, Failure, text_of
from onstage.cli.options import Surroundings, app_option, bulk_options, confirmed, limit_option, surroundings
from onstage.cli.printing import age, clean, instant, note, plural, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.cli.node_access import NodeAccess
    from onstage.ports.store import ExecutionView
    from onstage.reading.store_file import StoreFile

__all__ = ["command"]

BULK_MAX: Final = 100_000


@click.group("dead", short_help="Dead letters: list, show, retry or drop them.")
def command() -> None:
    """Executions that were set aside: their retries are spent, or their code no longer fits the journal."""


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        click.option("--error", metavar="TEXT", help="Only those whose error has this text."),
        click.option("--key", help="Only with this business key."),
        click.option("--handler", metavar="SERVICE.HANDLER", help="Only of this handler."),
    ):
        function = decorate(function)
    return function


@command.command("ls")
@_filters
@limit_option(50)
@surroundings
def list_dead(at: Surroundings, *, limit: int, **filters: str | None) -> None:
    """List what is set aside, the oldest first. The number is what `retry` and `drop` take."""
    from onstage.ports.clock import SystemClock

    with _looking(at) as store:
        rows = asyncio.run(_described(store, limit, filters))
        total = store.counts().set_aside
    if at.is_json:
        print_json(rows)
        return
    now = SystemClock().now_ms()
    if rows:
        lines = [
            [r["execution"], r["handler"], r["key"] or r["process"], r["status"], age(now - r["ms"]), r["error"]]
            for r in ({**row, "error": _first_line(row["error"])} for row in rows)
        ]
        print_table(["NUMBER", "HANDLER", "KEY", "STATUS", "SINCE", "ERROR"], lines)
    note(f"{len(rows):,} of {plural(total, 'dead letter')} shown")


@command.command("show")
@click.argument("number", type=int)
@surroundings
def show_dead(at: Surroundings, *, number: int) -> None:
    """Show one execution: its event, its journal and the whole error."""
    with _looking(at) as store:
        found = asyncio.run(_one(store, number))
    if at.is_json:
        print_json(found)
        return
    for name in ("execution", "handler", "status", "process", "key", "attempts", "event", "data"):
        click.echo(f"{name:>10}  {clean(found[name])}")
    for line in found["journal"]:
        click.echo(f"{'journal':>10}  {clean(line)}")
    click.echo(f"{'error':>10}")
    for line in (found["error"] or "").splitlines():
        click.echo(f"    {clean(line)}")


def _bulk(function: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        surroundings,
        app_option,
        bulk_options,
        _filters,
        click.option("--all", "everything", is_flag=True, help="Everything that is set aside."),
        click.argument("numbers", type=int, nargs=-1),
    ):
        function = decorate(function)
    return function


@command.command("retry")
@_bulk
def retry_dead(at: Surroundings, **options: Any) -> int:
    """Try dead letters again, at the step that failed, with a new budget and the same idempotency key."""
    return asyncio.run(_operate(at, "retry", **options))


@command.command("drop")
@_bulk
def drop_dead(at: Surroundings, **options: Any) -> int:
    """Write dead letters off: they are settled as dropped, and what waits behind them goes on."""
    return asyncio.run(_operate(at, "drop", **options))


def _looking(at: Surroundings) -> Any:
    from onstage.reading.store_file import looking_at

    return looking_at(at.path())


async def _described(store: StoreFile, limit: int, filters: dict[str, str | None]) -> list[dict[str, Any]]:
    views = await store.set_aside(limit=limit, **filters)
    return [await _row(store, view) for view in views]


async def _row(store: StoreFile, view: ExecutionView) -> dict[str, Any]:
    from onstage.events.receipt import Status

    process = await store.reader.process(view.process)
    return {
        "execution": view.id,
        "handler": view.handler,
        "process": "" if process is None else process.wire_id,
        "key": None if process is None else process.key,
        "status": Status(view.status).label,
        "attempts": view.attempts,
        "since": instant(view.ended),
        "ms": view.ended,
        "error": view.error,
    }


async def _one(store: StoreFile, number: int) -> dict[str, Any]:
    from onstage.reading.causal_tree import told
    from onstage.reading.redaction import redacted

    stored = await store.reader.execution(number)
    if stored is None:
        raise Failure(f"there is no execution {number}", "the number is wrong", "`onstage dead ls` lists them")
    row = await _row(store, stored.execution)
    data = redacted(stored.event.data).decode(errors="replace")
    return row | {"event": f"{stored.event.type} #{stored.event.n}", "data": data, "journal": told(stored.entries)}


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


# Acting.


async def _operate(
    at: Surroundings,
    action: str,
    *,
    numbers: tuple[int, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    **filters: str | None,
) -> int:
    is_filtered = any(wanted is not None for wanted in filters.values())
    if bool(numbers) == (everything or is_filtered):
        raise click.UsageError("give execution numbers, or --all, or one of --handler, --key and --error")
    await _refuse_view(at, action, numbers, filters)
    if not numbers:
        with _looking(at) as store:
            views = await store.set_aside(limit=BULK_MAX, **filters)
        numbers = tuple(view.id for view in views)
        for view in views[:20] if dry_run else ():
            note(f"would {action} {view.id}  {view.handler}: {clean(_first_line(view.error))}")
    if dry_run:
        return _dry(at, action, numbers)
    if numbers and everything | is_filtered:
        question = f"{action} {plural(len(numbers), 'dead letter')}?"
        if not confirmed(question, yes=yes):
            return Exit.FOUND
    return await _act_on_all(at, action, numbers)


async def _refuse_view(at: Surroundings, action: str, numbers: tuple[int, ...], filters: dict[str, str | None]) -> None:
    """Say in which store a dead letter is, to whoever would act on it in the store of an observer. Raises Failure."""
    from onstage.cli.sibling_stores import stores_of

    with _looking(at) as store:
        if store.kind != "view":
            return
        stored = [await store.reader.execution(number) for number in numbers]
        views = [each.execution for each in stored if each is not None]
        views = views or await store.set_aside(limit=BULK_MAX, **filters)
    services = sorted({view.handler.partition(".")[0] for view in views})
    found = stores_of(services, at.path())
    named = [f"{service} (--store sqlite:///{found[service]})" if service in found else service for service in services]
    raise Failure(
        f"nothing can be {'retried' if action == 'retry' else 'dropped'} in an observer's store",
        "it shows what services did; a dead letter is acted on in the store of its own service",
        f"use `onstage dead ls` and `onstage dead {action}` on the store of {' and '.join(named) or 'that service'}",
        code=Exit.USAGE,
    )


def _dry(at: Surroundings, action: str, numbers: tuple[int, ...]) -> int:
    if at.is_json:
        print_json({"action": action, "dry_run": True, "executions": numbers})
    else:
        click.echo(f"would {action} {plural(len(numbers), 'dead letter')}; nothing was done")
    return Exit.OK


async def _act_on_all(at: Surroundings, action: str, numbers: tuple[int, ...]) -> int:
    from onstage.cli.node_access import acting

    done: list[int] = []
    refused: list[dict[str, Any]] = []
    if numbers:
        async with acting(at, "what is tried again waits for `onstage run`") as node:
            for number in numbers:
                why = await _act(node, action, number, is_json=at.is_json)
                refused.append({"execution": number, "reason": why}) if why else done.append(number)
    if at.is_json:
        print_json({"action": action, "dry_run": False, "executions": done, "refused": refused})
    elif not numbers:
        click.echo("nothing is set aside")
    return Exit.FOUND if refused else Exit.OK


async def _act(node: NodeAccess, action: str, number: int, *, is_json: bool) -> str | None:
    """Act on one and tell it; answers why it was refused, if it was."""
    from onstage.errors import UsageError

    try:
        told = await node.operate(action, number)
    except UsageError as error:
        note(text_of(error))
        return str(error)
    click.echo(f"{number}  {clean(told)}", err=is_json)
    return None

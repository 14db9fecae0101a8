"""`onstage replay`: does the present code fit the journals that are stored? Nothing is done, nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import click
import msgspec

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, app_argument, surroundings
from onstage.cli.printing import clean, note, plural, print_json, styled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from onstage.app import App
    from onstage.contracts.handler import Handler
    from onstage.ports.store import Stored
    from onstage.reading.store_file import StoreFile

__all__ = ["Misfit", "Replayed", "command", "replay_all"]

PAGE: Final = 500


@final
class Misfit(msgspec.Struct, frozen=True):
    """An execution that the code does not fit: what it is (diverged, undecodable or no handler), where and why."""

    execution: int
    handler: str
    process: str
    key: str | None
    was: str
    what: str
    where: str
    diff: str


@final
class Replayed(msgspec.Struct):
    """What came of a replay of many: how many were run, and those that do not fit."""

    replayed: int = 0
    without_journal: int = 0
    misfits: list[Misfit] = []


@click.command("replay", short_help="Run stored journals against the present code, without effects.")
@app_argument
@click.option("--closed", type=click.IntRange(0), default=0, metavar="N", help="Also the N newest that have ended.")
@click.option("--since", metavar="DURATION", help='Only those begun within, such as "1h" or "3d".')
@click.option("--handler", metavar="SERVICE.HANDLER", help="Only of this handler.")
@surroundings
def command(at: Surroundings, *, closed: int, since: str | None, handler: str | None) -> int:
    """Run the journal of every open execution against the present code, without effects: for CI, before a deployment.

    A recorded call is answered from the journal; at the first one that is not recorded, the run stops. Exit code 1 if
    an execution would diverge, its event can no longer be decoded, or its handler is gone. Code between the durable
    calls does run: what it does besides (a print, a file) it does here too; network and threads are refused.
    """
    from onstage.cli.process_filters import milliseconds
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at
    from onstage.testing.virtual_loop import VirtualLoop

    app = at.app()
    begun_after = 0.0 if since is None else SystemClock().now_ms() - milliseconds(since)
    with looking_at(at.path()) as store, store.snapshot():
        _refuse_other(store)
        loop = VirtualLoop()
        try:
            found = loop.run_until_complete(
                replay_all(app, store, closed=closed, begun_after=begun_after, handler=handler)
            )
        finally:
            loop.bury()
    _tell(at, found)
    return Exit.FOUND if found.misfits else Exit.OK


def _refuse_other(store: StoreFile) -> None:
    if store.kind == "view":
        why = "an observer keeps no journals"
        raise Failure(f"{store.path} has nothing to replay", why, "name the store of a service", code=Exit.USAGE)


def _tell(at: Surroundings, found: Replayed) -> None:
    if at.is_json:
        print_json(found)
        return
    for misfit in found.misfits:
        head = f"{clean(misfit.handler)} #{misfit.execution} of {clean(misfit.key or misfit.process)} ({misfit.was})"
        click.echo(f"{styled(misfit.what)}  {head}\n  at {clean(misfit.where)}")
        for line in misfit.diff.splitlines():
            click.echo(f"    {clean(line)}")
    fits = found.replayed - len(found.misfits)
    note(
        f"{plural(found.replayed, 'execution')} replayed, {fits:,} fit the code, {len(found.misfits):,} do not; "
        f"{found.without_journal:,} had recorded nothing yet"
    )


async def replay_all(
    app: App, store: StoreFile, *, closed: int = 0, begun_after: float = 0, handler: str | None = None
) -> Replayed:
    """Replay what is open, and the newest `closed` that have ended. Run it on a loop that refuses real I/O."""
    from onstage.contracts.validation import event_types
    from onstage.testing.rehearsal import Scene

    handlers = {name: each for service in app.services for each in service.handlers for name in _names(each)}
    scene = Scene({known.name: known for known in event_types(app.services, app.processes)})
    found = Replayed()
    async for stored in _chosen(store, closed, begun_after, handler):
        found.replayed += 1
        found.without_journal += not stored.entries
        misfit = await _replay(store, scene, handlers.get(stored.execution.handler.partition("@")[0]), stored)
        if misfit is not None:
            found.misfits.append(misfit)
    return found


def _names(handler: Handler[Any, Any]) -> tuple[str, ...]:
    return (handler.full_name, *handler.was)


async def _chosen(store: StoreFile, closed: int, begun_after: float, handler: str | None) -> AsyncIterator[Stored]:
    numbers = [row[0] for row in store.rows("newest_ended", handler=handler, since=begun_after, limit=closed)]
    after = 0
    while page := await store.reader.executions(handler=handler, after=after, limit=PAGE):
        after = page[-1].id
        numbers += [view.id for view in page if not view.started or view.started >= begun_after]
    for number in numbers:
        stored = await store.reader.execution(number)
        if stored is not None:
            yield stored


async def _replay(store: StoreFile, scene: Any, handler: Handler[Any, Any] | None, stored: Stored) -> Misfit | None:
    """Run one; None if it fits."""
    from onstage.core.retry import HANDLER_RETRY
    from onstage.errors import OperationError, UsageError
    from onstage.runtime.delivery import Delivery, Reaction
    from onstage.runtime.wire import version_of
    from onstage.testing.rehearsal import place_in, rehearse

    if handler is None:
        return await _misfit(store, stored, "no handler", "", "the app has no such handler, under no name it had")
    try:
        event = _event(store, scene, handler, stored, version_of(stored.event))
    except Exception as error:  # noqa: BLE001  the class's own code may raise anything
        return await _misfit(store, stored, "undecodable", handler.where, f"its event: {error}")
    if not stored.entries:
        return None
    view = stored.execution
    delivery = Delivery(view.id, Reaction(handler, view.id & 0xFFFF, HANDLER_RETRY), view.process, None, None)
    run = await rehearse(delivery, stored.entries, event, scene)
    if run.frame.execution.rejected is not None:
        return None  # from there on only its undo steps run, and not the handler
    if run.diff is not None:
        return await _misfit(store, stored, "diverged", place_in(run.end, handler.where), run.diff)
    if isinstance(run.end, OperationError | UsageError):
        return await _misfit(store, stored, "undecodable", place_in(run.end, handler.where), str(run.end))
    return None


def _event(store: StoreFile, scene: Any, handler: Handler[Any, Any], stored: Stored, version: int) -> Any:
    from onstage.runtime.wire import to_envelope

    if handler.pattern is not None:
        return to_envelope(stored.event, store.identity(), "//onstage/door")
    known = scene.types.get(stored.event.type)
    if known is None:
        raise LookupError(f"no class of this application is {stored.event.type}")
    return known.read(stored.event.data, version)


async def _misfit(store: StoreFile, stored: Stored, what: str, where: str, diff: str) -> Misfit:
    from onstage.events.receipt import Status

    view = stored.execution
    process = await store.reader.process(view.process)
    wire_id, key = ("", None) if process is None else (process.wire_id, process.key or stored.event.key)
    return Misfit(view.id, view.handler, wire_id, key, Status(view.status).label, what, where, diff)

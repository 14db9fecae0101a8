"""`onstage events`: the event log, as CloudEvents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from onstage.cli.failures import Failure
from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import clean, note, plural, print_json, print_table, shortened
from onstage.reading.redaction import redacted

if TYPE_CHECKING:
    from onstage.events.envelope import Envelope
    from onstage.ports.store import EventView
    from onstage.reading.store_file import StoreFile

__all__ = ["command"]

PAUSE_S: Final = 0.3
PAGE: Final = 500
DATA_COLUMNS: Final = 100

type_option = click.option("--type", help="Only of this event type.")


@click.group("events", short_help="Read the event log.")
def command() -> None:
    """The event log: everything that was emitted, in order."""


@command.command("ls")
@type_option
@click.option("--key", help="Only of the newest process with this business key (or public id).")
@click.option("--after", type=int, metavar="NUMBER", help="Begin after this event, instead of with the newest.")
@limit_option(20)
@surroundings
def list_events(at: Surroundings, *, type: str | None, key: str | None, after: int | None, limit: int) -> None:
    """List events in the order of the log: the newest, or those after a number."""
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        views = asyncio.run(_find(store, type=type, key=key, after=after, limit=limit))
        envelopes = _envelopes(store, views)
        beginning = history_in(store)
    if at.is_json:
        print_json([_as_json(envelope) for envelope in envelopes])
        return
    if views:
        print_table(
            ["NUMBER", "TIME", "TYPE", "KEY", "DATA"],
            [_cells(view, e) for view, e in zip(views, envelopes, strict=True)],
        )
    note(f"{plural(len(views), 'event')} shown; {beginning}")


def history_in(store: StoreFile) -> str:
    """How far back the history of a store goes, in words: what `start="earliest"` and a replay can deliver."""
    from onstage.cli.printing import moment
    from onstage.events.envelope import hlc_ms

    first = asyncio.run(store.reader.events(limit=1))
    if not first:
        return "history is empty"
    return f"history goes back to event {first[0].n} of {moment(hlc_ms(first[0].hlc))} UTC"


@command.command("show")
@click.argument("event")
@surroundings
def show_event(at: Surroundings, *, event: str) -> None:
    """Show one event, named by its number or its public id, as a CloudEvent in JSON."""
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        number = int(event) if event.isdecimal() and len(event) < 19 else store.identity().local(event)
        view = None if number is None else asyncio.run(store.reader.event(number))
        if view is None:
            raise Failure(
                f"there is no event {clean(event)}", "nothing has that number or id", "see `onstage events ls`"
            )
        (envelope,) = _envelopes(store, [view])
    document = msgspec.json.encode(_as_json(envelope))
    click.echo((document if at.is_json else msgspec.json.format(document, indent=2)).decode())


@command.command("tail")
@type_option
@limit_option(10)
@surroundings
def tail_events(at: Surroundings, *, type: str | None, limit: int) -> None:
    """Show the newest events, then each as it becomes durable, until interrupted. With -o json: JSON lines."""
    asyncio.run(_tail(at, type=type, limit=limit))


async def _tail(at: Surroundings, *, type: str | None, limit: int) -> None:
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store:
        views = store.newest_events(type=type, limit=limit)
        after = views[-1].n if views else 0
        while True:
            for view, envelope in zip(views, _envelopes(store, views), strict=True):
                _print_one(at, view, envelope)
            views = await store.reader.events(type=type, after=after, limit=PAGE)
            after = views[-1].n if views else after
            await asyncio.sleep(0 if views else PAUSE_S)


def _print_one(at: Surroundings, view: EventView, envelope: Envelope) -> None:
    if at.is_json:
        print_json(_as_json(envelope))
        return
    click.echo("  ".join(map(clean, _cells(view, envelope))))


async def _find(
    store: StoreFile, *, type: str | None, key: str | None, after: int | None, limit: int
) -> list[EventView]:
    from onstage.reading.process_rows import find_process

    if key is not None:
        process = (await find_process(store, key)).id
        return await store.reader.events(process=process, type=type, after=after or 0, limit=limit)
    if after is not None:
        return await store.reader.events(type=type, after=after, limit=limit)
    return store.newest_events(type=type, limit=limit)


def _envelopes(store: StoreFile, views: list[EventView]) -> list[Envelope]:
    from onstage.core.commit import handler_of
    from onstage.runtime.wire import to_envelope

    identity = store.identity()
    names = dict(store.rows("handler_names"))
    emitters = [(view, names.get(handler_of(view.cause))) for view in views]
    return [to_envelope(view, identity, _source(handler), handler) for view, handler in emitters]


def _source(handler: str | None) -> str:
    return "//onstage/door" if handler is None else f"//onstage/{handler.partition('.')[0]}"


def _as_json(envelope: Envelope) -> Any:
    from onstage.events.envelope import to_json

    return msgspec.Raw(to_json(envelope))


def _cells(view: EventView, envelope: Envelope) -> list[Any]:
    data = shortened(redacted(view.data).decode(errors="replace"), DATA_COLUMNS)
    time = envelope.time
    return [view.n, f"{time:%Y-%m-%d %H:%M:%S}" if time else "", view.type, view.key or "", data]

"""`onstage state`: what services keep by key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from onstage.cli.failures import Failure
from onstage.cli.options import Surroundings, limit_option, surroundings
from onstage.cli.printing import age, clean, instant, note, plural, print_json, print_table, shortened

if TYPE_CHECKING:
    from onstage.ports.store import StateView
    from onstage.reading.store_file import StoreFile

__all__ = ["command", "find_states", "state_line"]

DATA_COLUMNS: Final = 60


@click.group("state", short_help="Keyed state of services: list it, show one.")
def command() -> None:
    """What handlers keep by key with `state(...)`: one value for each service, name and key, with its version."""


@command.command("ls")
@click.option("--name", metavar="SERVICE.NAME", help="Only states of this name.")
@click.option("--key", help="Only states of this key.")
@limit_option(50)
@surroundings
def list_states(at: Surroundings, *, name: str | None, key: str | None, limit: int) -> None:
    """List states in the order of name and key."""
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        rows = asyncio.run(find_states(store, name=name, key=key, limit=limit))
    if at.is_json:
        print_json(rows)
        return
    now = SystemClock().now_ms()
    if rows:
        lines = [[r["name"], r["key"], r["version"], age(now - r["changed_ms"]), _short(r["value"])] for r in rows]
        print_table(["NAME", "KEY", "VERSION", "CHANGED", "VALUE"], lines)
    note(f"{plural(len(rows), 'state')} shown")


@command.command("show")
@click.argument("name", metavar="SERVICE.NAME")
@click.argument("key")
@surroundings
def show_state(at: Surroundings, *, name: str, key: str) -> None:
    """Show one state with its whole value."""
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        view = asyncio.run(store.reader.state(name, key))
    if view is None:
        why = "nothing was ever kept there"
        raise Failure(f"there is no state {name} of {key}", why, "`onstage state ls` lists what there is")
    row = _row(view)
    if at.is_json:
        print_json(row)
        return
    for field in ("name", "key", "version", "changed", "execution", "value"):
        value = row[field]
        text = bytes(value).decode(errors="replace") if isinstance(value, msgspec.Raw) else str(value)
        click.echo(f"{field:>10}  {clean(text)}")


async def find_states(
    store: StoreFile, *, name: str | None = None, key: str | None = None, limit: int
) -> list[dict[str, Any]]:
    """The states, in order."""
    return [_row(view) for view in await store.reader.states(state=name, key=key, limit=limit)]


def state_line(row: dict[str, Any]) -> str:
    """One state on one line, as `show` prints those of the process' key."""
    return f"state {clean(row['name'])} version {row['version']}: {_short(row['value'])}"


def _row(view: StateView) -> dict[str, Any]:
    return {
        "name": view.state,
        "key": view.key,
        "version": view.version,
        "changed": instant(view.changed),
        "changed_ms": view.changed,
        "execution": view.execution,
        "value": None if view.data is None else _shown(view.data),
    }


def _shown(data: bytes) -> Any:
    from onstage.reading.causal_tree import unreadable
    from onstage.reading.redaction import redacted

    try:
        msgspec.json.decode(data)
    except ValueError:
        return unreadable(data)
    return msgspec.Raw(redacted(data))


def _short(value: Any) -> str:
    text = "-" if value is None else bytes(value).decode() if isinstance(value, msgspec.Raw) else value
    return shortened(clean(text), DATA_COLUMNS)

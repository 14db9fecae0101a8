"""`onstage subscriptions`: who hears what, how far history is delivered, and its delivery once more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from onstage.cli.failures import Exit
from onstage.cli.options import Surroundings, app_option, bulk_options, confirmed, moment_ms, surroundings
from onstage.cli.printing import clean, instant, moment, note, plural, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.reading.store_file import StoreFile
    from onstage.runtime.history import Course

__all__ = ["command", "progress", "under_way"]


@click.group("subscriptions", short_help="Who hears what; deliver history once more.")
def command() -> None:
    """The handlers that the newest node declared, with what each hears; and replays of them."""


@command.command("ls")
@surroundings
def list_subscriptions(at: Surroundings) -> None:
    """List handlers, replays and retired handlers: what starts each, and how far its history is delivered."""
    from onstage.reading.store_file import looking_at

    with looking_at(at.path()) as store, store.snapshot():
        rows = asyncio.run(_subscriptions(store))
    if at.is_json:
        print_json(rows)
        return
    if rows:
        lines = [[r["handler"], " ".join(r["hears"]), "yes" if r["gating"] else "no", _state(r)] for r in rows]
        print_table(["HANDLER", "HEARS", "GATING", "HISTORY"], lines)
    note(f"{plural(len(rows), 'subscription')} shown")


def _state(row: dict[str, Any]) -> str:
    if row["retired"] is not None:
        return f"retired {moment(row['retired_ms'])} UTC, {row['written_off']:,} written off"
    course = row["history"]
    return row["start"] if course is None else progress(course)


def progress(course: Mapping[str, int]) -> str:
    """How far a course has come, in words."""
    skipped = f", {course['skipped']:,} skipped" if course["skipped"] else ""
    given = f"{plural(course['given'], 'event')} delivered{skipped}"
    if course["ended"]:
        return f"{given}, complete"
    return f"{given}, at event {course['after']:,} of {course['until']:,}"


async def under_way(store: StoreFile) -> list[str]:
    """The histories and replays that are not complete, one line each."""
    from onstage.runtime.history import courses_in

    courses = (await courses_in(store.reader)).values()
    return [f"history of {each.name}: {progress(_course(each))}" for each in courses if not each.ended]


async def _subscriptions(store: StoreFile) -> list[dict[str, Any]]:
    from onstage.contracts.manifest import from_stored
    from onstage.runtime.history import courses_in
    from onstage.runtime.subscriptions import retirements

    declared = {each.name: each for each in from_stored(await store.reader.manifest()).handlers}
    courses, retired = await courses_in(store.reader), await retirements(store.reader)
    rows = []
    for number, name in store.rows("handler_names"):
        handler, record, course = (
            declared.get(name.rpartition("@")[0] or name),
            retired.get(number),
            courses.get(number),
        )
        if handler is None and record is None:
            continue
        is_replay = "@" in name
        rows.append(
            {
                "handler": name,
                "hears": [] if handler is None else handler.triggers,
                "gating": handler is not None and handler.gating and not is_replay,
                "start": "replay" if is_replay else handler.start if handler is not None else "",
                "history": None if course is None else _course(course),
                "retired": None if handler is not None or record is None else instant(record.at),
                "retired_ms": None if record is None else record.at,
                "written_off": None if record is None else record.written_off,
            }
        )
    return sorted(rows, key=lambda row: str(row["handler"]))


def _course(course: Course) -> dict[str, int]:
    names = ("first", "after", "until", "given", "skipped", "began", "ended")
    return {name: getattr(course, name) for name in names}


# Replaying.


@command.command("replay")
@click.argument("handler", metavar="SERVICE.HANDLER")
@click.option("--from", "since", metavar="TIME", help='From this time: "2026-05-01T08:00" (UTC), or "3h" ago.')
@click.option("--after", type=click.IntRange(0), metavar="N", help="Behind event number N (0: from the beginning).")
@click.option("--to", "until", metavar="TIME|N", help="Up to this time or event number; else up to now.")
@app_option
@bulk_options
@surroundings
def replay_handler(
    at: Surroundings, *, handler: str, since: str | None, after: int | None, until: str | None, dry_run: bool, yes: bool
) -> int:
    """Deliver events of before to a handler once more: it runs anew for each, with all its effects.

    The executions are shown as SERVICE.HANDLER@1 and so on, belong to no process' end, and what they emit begins new
    processes. Without a running node the next one does it.
    """
    if (since is None) == (after is None):
        raise click.UsageError("give --from TIME or --after N")
    options = {"after": after} if after is not None else {"since_ms": moment_ms("--from", since or "")}
    if until is not None:
        options |= {"until": int(until)} if until.isdecimal() else {"until_ms": moment_ms("--to", until)}
    return asyncio.run(_replay(at, handler, options, dry_run=dry_run, yes=yes))


async def _replay(at: Surroundings, handler: str, options: dict[str, int], *, dry_run: bool, yes: bool) -> int:
    from onstage.cli.node_access import acting

    async with acting(at, None) as node:
        told = await node.manage("replay", handler, options | {"dry_run": 1})
        if not dry_run and told["events"]:
            question = f"deliver {plural(int(told['events']), 'event')} to {handler} once more?"
            if not confirmed(question, yes=yes):
                return Exit.FOUND
            told = await node.manage("replay", handler, options)
    if at.is_json:
        print_json(told | {"dry_run": dry_run})
        return Exit.OK
    what = f"{plural(int(told['events']), 'event')} to {clean(handler)}"
    if dry_run or not told["events"]:
        click.echo(f"would deliver {what}; nothing was done" if told["events"] else f"no event fits {clean(handler)}")
        return Exit.OK
    click.echo(f"delivers {what} once more, as {clean(told['handler'])}")
    return Exit.OK

"""One process to take away: as JSON, as a mermaid diagram, and as a test."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pprint import pformat
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onstage.core import journal
from onstage.events.answer import START_PREFIX
from onstage.events.topic import SYSTEM_PREFIX
from onstage.reading.process_rows import find_process
from onstage.reading.redaction import redacted
from onstage.stores.sqlite.offload import read_entry
from onstage.web.panes import pane
from onstage.web.process_page import EVENTS_MAX, process_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onstage.core.journal import Entry
    from onstage.reading.store_file import StoreFile
    from onstage.web.shown import EventNode, ProcessPage
    from onstage.web.source import Source

__all__ = ["as_diagram", "as_json", "as_test"]

APP_DEFAULT: Final = "app:app"
_NAME: Final = re.compile(r"[^a-z0-9]+")
_TARGET: Final = re.compile(r"[\w.]+:\w+")
_WIDTH: Final = 100
_FINAL: Final = ("completed", "dead end")


async def as_json(source: Source, store: StoreFile, name: str) -> bytes:
    """The first page of a process as JSON, as the API shows it, without what is about this UI."""
    page = msgspec.to_builtins(await process_page(source, store, name))
    del page["standing"]
    return msgspec.json.format(msgspec.json.encode(page), indent=2)


async def as_diagram(source: Source, store: StoreFile, name: str) -> str:
    """The process as a mermaid flowchart: events, the handlers that they started, what these emitted."""
    page = await process_page(source, store, name)
    return "\n".join(["flowchart TD", *_diagram(page)]) + "\n"


def _diagram(page: ProcessPage) -> Iterator[str]:
    for event in page.events:
        yield f'    e{event.n}(["{_label(event.type)} #{event.n}"])'
        if event.from_outside:
            yield f"    outside((outside)) --> e{event.n}"
    for bar in page.executions:
        yield f'    x{bar.id}["{_label(bar.handler)}<br/>{_label(bar.status)}"]'
        yield f"    e{bar.event} --> x{bar.id}"
        yield from (f"    x{bar.id} --> e{number}" for number in bar.emitted)
        if bar.failed:
            yield f"    style x{bar.id} stroke:#c00,stroke-width:2px"
    for place, each in enumerate(page.expected):
        yield f'    w{place}(["{_label(each.type)}?"]):::expected'
        if each.execution is not None:
            yield f"    x{each.execution} -.-> w{place}"
    yield "    classDef expected stroke-dasharray: 4 4"


def _label(text: str) -> str:
    """Text that can end no label and begin no markup: whatever is no letter, digit or plain mark is a code."""
    return "".join(each if each.isalnum() or each in " .-_/@" else f"#{ord(each)};" for each in text)


# As a test.


async def as_test(source: Source, store: StoreFile, name: str, *, app: str | None = None) -> str:
    """A test file that tells the history again in a `Sim`: steps answer what they answered, events come when they came.

    `app` is the application as module:attribute. What the test asserts is the verdict and the types of all events.
    Raises ValueError for a history that cannot be told so: a workflow's start, one of several stores, a very long one.
    """
    page = await process_page(source, store, name)
    view = await find_process(store, name)
    if page.next is not None:
        raise ValueError(f"this process has more than {EVENTS_MAX} events: too many for one test")
    if store.kind != "whole":
        raise ValueError("this store has a part of the process, or an observer's view: no test can be made of it")
    outside = [event for event in page.events if event.from_outside]
    if any(event.type.startswith((START_PREFIX, SYSTEM_PREFIX)) for event in outside):
        raise ValueError("this process was begun by a start, a request or a timer: a test begins with events of yours")
    payloads = [_payload(await store.reader.event(event.n)) for event in outside]
    return _file(page, outside, payloads, _steps(store, view.id, page), app or APP_DEFAULT)


def _payload(event: Any) -> Any:
    return json.loads(redacted(event.data))


def _steps(store: StoreFile, process: int, page: ProcessPage) -> list[str]:
    """What the steps did, a line of code for each, in the order of their executions."""
    journals: dict[int, list[Entry]] = {}
    span = {"first": page.events[0].n, "last": page.events[-1].n, "limit": -1}
    for execution, body in pane(store, "entries_of_page", process=process, **span):
        journals.setdefault(execution, []).append(read_entry(store.connection, body))
    return [line for bar in page.executions for line in _recorded(bar.handler, journals.get(bar.id, ()))]


def _recorded(handler: str, entries: Sequence[Entry]) -> Iterator[str]:
    failed: dict[str, journal.Attempted] = {}
    told: dict[str, str] = {}
    for entry in entries:
        at = f"Recorded({handler!r}, {entry.position!r}"
        match entry:
            case journal.Attempted(attempts=attempts) if attempts:
                failed[entry.position] = entry
                told[entry.position] = f"{at}, error={_first(entry.error)}, fails_for_good=True)"
            case journal.Stepped() | journal.Abandoned():
                before = failed.get(entry.position)
                count = 0 if before is None else entry.attempts - 1
                again = f", failures={count}, error={_first(before.error)}" if before is not None and count else ""
                told[entry.position] = f"{at}, {json.loads(redacted(entry.result))!r}{again})"
            case journal.Failed() | journal.Held():
                told[entry.position] = f"{at}, error={_first(entry.error)}, fails_for_good=True)"
            case _:
                pass
    yield from told.values()


def _first(error: str) -> str:
    return repr(error.partition("\n")[0])


def _file(page: ProcessPage, outside: list[EventNode], payloads: list[Any], steps: list[str], app: str) -> str:
    head = page.head
    # A target that is no plain name would be code in the test.
    module, _, attribute = (app if _TARGET.fullmatch(app) else APP_DEFAULT).partition(":")
    test = _NAME.sub("_", f"{head.type} {head.key or head.process}".lower()).strip("_")
    imported = f"from {module} import {attribute}" + (" as app" if attribute != "app" else "")
    within_s = max(_last_ms(page) - outside[-1].at_ms, 0) / 1000
    waits = [*[(after.at_ms - before.at_ms) / 1000 for before, after in pairwise(outside)], None]
    body = []
    for place, (event, payload, wait_s) in enumerate(zip(outside, payloads, waits, strict=True)):
        said = f"as_event(app, {event.type!r}, {pformat(payload, width=_WIDTH, sort_dicts=False)})"
        body.append(f"await sim.emit({said}, process=process)" if place else f"process = await sim.emit({said})")
        body.append("await sim.settle()")
        if wait_s:
            body.append(f"await sim.advance({wait_s})")
    margin_s = within_s * 2 + 60 if head.verdict in ("stuck", *_FINAL) else within_s
    types = sorted(event.type for event in page.events)
    body += [
        f"verdict = await reached(sim, process, {head.verdict!r}, within_s={margin_s})",
        f"assert verdict.status == {head.verdict!r}, verdict",
        f"assert verdict.outcome == {head.outcome!r}",
        f"assert types_of(sim, process) == {pformat(types, width=_WIDTH)}",
    ]
    return _TEMPLATE.format(
        what=ascii(f"{head.type} {head.key or head.process}")[1:-1].replace('"', "'").replace("\\", "/"),
        imported=imported,
        steps="".join(f"    {line},\n" for line in steps),
        test=test,
        body="\n".join(f"        {line}" for each in body for line in each.split("\n")),
    )


def _last_ms(page: ProcessPage) -> int:
    ends = [bar.end_ms or bar.start_ms for bar in page.executions]
    return max([event.at_ms for event in page.events] + ends)


_TEMPLATE: Final = '''"""The history of {what}, as a test: steps answer and events come as they did."""

import asyncio

{imported}  # the application: adapt it if it lies elsewhere
from onstage.testing import Recorded, Sim, as_event, reached, types_of

STEPS = [
{steps}]


async def history() -> None:
    async with Sim(app, faults=STEPS) as sim:
{body}


def test_{test}() -> None:
    asyncio.run(history())
'''

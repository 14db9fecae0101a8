"""`onstage emit`: one event from the arguments, or a file of events, many at a time.

Lines are checked here, and sent in pages. The node decides about them one after the other, in the order of the file,
and stops at the first that it refuses; the next page is sent when the page before is answered. So whoever refuses a
line, everything before it is emitted, and nothing of it and (without --continue) after it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, final

import click

from onstage.cli.event_lines import SOURCE, BadLine, Line, check_event, opened, read_lines
from onstage.cli.failures import Exit, text_of
from onstage.cli.options import Surroundings, app_option, surroundings
from onstage.cli.printing import clean, note, plural, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from onstage.app import App
    from onstage.events.event import EventType
    from onstage.observe.verdict import Verdict
    from onstage.ports.store import ProcessView
    from onstage.process_handle import ProcessHandle
    from onstage.stage import Stage

__all__ = ["PAGE_LINES_MAX", "Sender", "command"]

PAGE_LINES_MAX: Final = 128
PAGE_BYTES_MAX: Final = 1 << 20
BAD_LINES_SHOWN_MAX: Final = 20


@click.command("emit", short_help="Emit one event, or a file of events.")
@click.argument("type", required=False)
@click.argument("data", required=False, metavar="JSON")
@click.option("-f", "--file", metavar="FILE", help="Emit the CloudEvents of a JSON Lines file; - is stdin.")
@click.option("--id", help="The event's id; the same id twice is the same event.")
@click.option("--after", metavar="DURATION", help="Emit it after a while, such as 10m; it is stored now.")
@click.option("--at", "moment", metavar="TIME", help="Emit it then: ISO 8601 with a time zone.")
@click.option("--wait", is_flag=False, flag_value="60s", metavar="[TIMEOUT]", help="Wait for the verdict. [60s]")
@click.option("--continue", "go_on", is_flag=True, help="With --file: go on after a bad line, report all at the end.")
@click.option("--from-line", type=click.IntRange(1), default=1, metavar="N", help="With --file: begin at line N.")
@app_option
@surroundings
def command(at: Surroundings, *, type: str | None, data: str | None, file: str | None, **options: Any) -> int:
    """Emit one event, TYPE with a JSON payload, or a whole file (`-` for stdin). Emitted means durable.

    A file holds one CloudEvent in JSON per line; {"type": ..., "data": ...} will do. Lines without an id get one made
    of the file's hash and the line's number, so that the same file twice emits nothing twice.

    At a line that is refused, here or by the node, everything before it is emitted and nothing of it; nothing after it
    either without --continue. If the node is lost instead, how far it came is not known: send the same file again.
    """
    if type == "-" and data is None and file is None:
        return _run_file(at, "-", options)
    if (file is None) == (type is None) or (type is not None and data is None):
        raise click.UsageError("give TYPE and JSON, or --file FILE (- for stdin)")
    later = (options.pop("after"), options.pop("moment"))
    if file is not None:
        if any(later):
            raise click.UsageError("--after and --at delay one event, not a file")
        return _run_file(at, file, options)
    timeout_s = _timeout(options["wait"])
    one = _emit_one(at.app(), at, str(type), str(data), id=options["id"], timeout_s=timeout_s, later=_later(*later))
    return asyncio.run(one)


def _later(after: str | None, at: str | None) -> dict[str, Any]:
    """The arguments of `emit` that say when; they are checked before anything is sent."""
    from datetime import datetime

    from onstage.errors import UsageError
    from onstage.events.delayed import when_of

    try:
        moment = None if at is None else datetime.fromisoformat(at)
        when_of(after=after, at=moment)
    except (UsageError, ValueError) as error:
        raise click.UsageError(f"--after, --at: {error}") from error
    return {"after": after, "at": moment}


def _run_file(at: Surroundings, file: str, options: dict[str, Any]) -> int:
    if options["id"]:
        raise click.UsageError("--id names one event; the lines of a file carry their own")
    timeout_s = _timeout(options["wait"])
    sender = Sender(at.app(), go_on=options["go_on"], first=options["from_line"])
    with opened(file) as lines:
        return asyncio.run(_emit_file(sender, at, lines, timeout_s))


def _timeout(text: str | None) -> float | None:
    from onstage.events.duration import seconds

    if text is None:
        return None
    try:
        return seconds(text)
    except ValueError as error:
        raise click.UsageError(f"--wait: {error}") from error


def types_of(app: App) -> dict[str, EventType]:
    """The event types that the app knows, by name."""
    from onstage.contracts.validation import event_types

    return {known.name: known for known in event_types(app.services, app.processes)}


async def _emit_one(
    app: App,
    at: Surroundings,
    type: str,
    data: str,
    *,
    id: str | None,
    timeout_s: float | None,
    later: dict[str, Any],
) -> int:
    from onstage.app import connect
    from onstage.events.envelope import Envelope
    from onstage.ports.clock import SystemClock
    from onstage.reading.store_file import refuse_view

    check_event(types_of(app), type, data.encode())
    refuse_view(at.path())
    named = id or SystemClock().token(16).hex()
    async with connect(at.store, app) as client:
        alone = not client.has_node
        envelope = Envelope(id=named, source=SOURCE, type=type, data=data.encode())
        process = await client.emit_envelope(envelope, **later)
        ended = [] if timeout_s is None else await _verdicts(client, [process], timeout_s)
        view = await _view(client, process)
    key = process.id if view is None or view.key is None else view.key
    verdict = ended[0].verdict if ended else None
    if at.is_json:
        print_json({"id": named, "process": process.id, "key": view and view.key, "verdict": verdict})
    else:
        click.echo(clean(f"emitted {type} with id {named} in process {key}"))
        _print_counts(ended)
    return _say_and_judge(alone, ended, timeout_s)


async def _emit_file(sender: Sender, at: Surroundings, file: IO[bytes], timeout_s: float | None) -> int:
    from onstage.app import connect
    from onstage.reading.store_file import refuse_view

    refuse_view(at.path())
    async with connect(at.store, sender.app) as client:
        with _progress(file) as sender.on_sent:
            await sender.send(client, file)
        alone = bool(sender.accepted) and not client.has_node
        processes = list(sender.processes.values())
        ended = [] if timeout_s is None else await _verdicts(client, processes, timeout_s)
    refused = [{"line": bad.number, "reason": text_of(bad.error)} for bad in sender.bad]
    counts = Counter(str(end) for end in ended)
    if at.is_json:
        answer = {"accepted": sender.accepted, "processes": len(processes), "refused": refused}
        print_json(answer | ({} if timeout_s is None else {"verdicts": dict(counts)}))
    else:
        click.echo(f"{plural(sender.accepted, 'event')} accepted, of {plural(len(processes), 'process')}")
        _print_counts(ended)
    _tell_refused(sender)
    if sender.broken is not None:
        raise sender.broken
    code = _say_and_judge(alone, ended, timeout_s)
    return Exit.FOUND if refused else code


@final
class Sender:
    """Sends the lines of a file in their order, a page at a time.

    Afterwards `accepted` counts what is durable, `processes` maps ids to handles, `bad` has what was refused, and
    `broken` is what made it impossible to go on, if anything did.
    """

    def __init__(self, app: App, *, go_on: bool = False, first: int = 1) -> None:
        """For the event types of `app`; with `go_on` a bad line does not stop it."""
        self.app = app
        self.accepted = 0
        self.processes: dict[str, ProcessHandle] = {}
        self.bad: list[BadLine] = []
        self.broken: Exception | None = None
        self.on_sent: Callable[[int], None] = lambda _: None
        self._types = types_of(app)
        self.go_on, self._first = go_on, first

    async def send(self, client: Stage, file: IO[bytes]) -> None:
        """Return when every line is accepted or refused, or when it stopped and nothing is under way any more."""
        under_way: asyncio.Task[None] | None = None
        for lines in _pages(read_lines(file, self._types, first=self._first)):
            if under_way is not None:
                await under_way
            if self._must_stop():
                return
            # The page before is answered when this one is sent; it is checked while that one is under way.
            under_way = asyncio.create_task(self._send(client, lines))
            await asyncio.sleep(0)
        if under_way is not None:
            await under_way

    def _must_stop(self) -> bool:
        return self.broken is not None or (bool(self.bad) and not self.go_on)

    async def _send(self, client: Stage, page: list[Line | BadLine]) -> None:
        from onstage.errors import UsageError

        bad = [line for line in page if isinstance(line, BadLine)]
        end = bad[0].number if bad and not self.go_on else sys.maxsize
        lines = [line for line in page if isinstance(line, Line) and line.number < end]
        try:
            answers = await client.emit_envelopes([line.envelope for line in lines], go_on=self.go_on)
        except Exception as error:  # noqa: BLE001  raised again when everything under way has ended
            self.broken = error
            return
        for line, answer in zip(lines, answers, strict=False):
            if isinstance(answer, UsageError | LookupError):
                self.bad.append(BadLine(line.number, answer))
            elif isinstance(answer, Exception):
                self.broken = self.broken or answer
            else:
                self.accepted += 1
                self.processes[answer.id] = answer
        if not self._must_stop():
            self.bad += bad if self.go_on else bad[:1]
        self.on_sent(self.accepted)


def _pages(lines: Iterator[Line | BadLine]) -> Iterator[list[Line | BadLine]]:
    """Lines in pages of limited length and size; a line that is larger than the limit is a page of its own."""
    page: list[Line | BadLine] = []
    size = 0
    for line in lines:
        length = line.size if isinstance(line, Line) else 0
        if page and (len(page) == PAGE_LINES_MAX or size + length > PAGE_BYTES_MAX):
            yield page
            page, size = [], 0
        page.append(line)
        size += length
    if page:
        yield page


@contextmanager
def _progress(file: IO[bytes]) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    place = file.tell()
    size = file.seek(0, 2)
    file.seek(place)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("emitting", total=size)
        yield lambda count: bar.update(task, completed=file.tell(), description=f"{count:,} events")


def _tell_refused(sender: Sender) -> None:
    bad = sorted(sender.bad, key=lambda line: line.number)
    for line in bad[:BAD_LINES_SHOWN_MAX]:
        what, *rest = text_of(line.error).splitlines()
        note("\n".join([clean(f"line {line.number}: {what}"), *map(clean, rest)]))
    if len(bad) > BAD_LINES_SHOWN_MAX:
        note(f"... and {plural(len(bad) - BAD_LINES_SHOWN_MAX, 'line')} more, refused as well")
    if bad and sender.go_on:
        note(f"{plural(len(bad), 'line')} refused, nothing of them is stored")
    elif bad:
        note(f"stopped at line {bad[0].number}; correct it and go on with --from-line {bad[0].number}")


# Verdicts.


@final
@dataclass(frozen=True, slots=True)
class End:
    """How a process stands at the end of the waiting, and whether it is declared."""

    verdict: Verdict
    is_declared: bool

    @property
    def is_well(self) -> bool:
        """Whether it ended as it should: an undeclared process has no declared outcome to end with."""
        return self.verdict.is_final and (self.verdict.status == "completed" or not self.is_declared)

    def __str__(self) -> str:
        """The verdict without its reasons, for counting."""
        outcome = self.verdict.outcome
        return f"{self.verdict.status} ({outcome})" if outcome else self.verdict.status


async def _verdicts(client: Stage, processes: list[ProcessHandle], timeout_s: float) -> list[End]:
    patience_s = timeout_s if client.has_node else 0.0
    try:
        verdicts = await asyncio.gather(*(process.verdict(timeout=patience_s) for process in processes))
    except LookupError:
        if client.has_node:
            raise
        return []  # it is on its way to the service that owns its process, and no node runs that would send it
    views = [await _view(client, process) for process in processes]
    pairs = zip(verdicts, views, strict=True)
    return [End(verdict, view is not None and view.declared is not None) for verdict, view in pairs]


async def _view(client: Stage, process: ProcessHandle) -> ProcessView | None:
    from onstage.core.identity import number_in
    from onstage.runtime.intake import process_known_as

    async with client.reading() as reader:
        number = number_in(process.id)
        view = None if number is None else await reader.process(number)
        if view is not None and view.wire_id == process.id:
            return view
        number = await process_known_as(reader, process.id)  # it went to the service that owns its process
        return None if number is None else await reader.process(number)


def _print_counts(ended: list[End]) -> None:
    if len(ended) == 1:
        click.echo(clean(ended[0].verdict))
        return
    for text, count in Counter(map(str, ended)).most_common():
        click.echo(clean(f"  {count:>7,}  {text}"))


def _say_and_judge(alone: bool, ended: list[End], timeout_s: float | None) -> int:
    if alone:
        note("no node runs on this store: what was emitted is stored and waits for `onstage run`")
    if alone and timeout_s is not None:
        return Exit.UNREACHABLE
    return Exit.OK if all(end.is_well for end in ended) else Exit.FOUND

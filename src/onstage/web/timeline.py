"""The causal timeline as shapes: a lane for each service, bars that do not overlap, the events between them.

Only geometry: x in percent of the width, y in pixels. `timeline.html` draws it, so that the page needs no script for it
and all text in it is escaped like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.web.time_scale import TimeScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.web.time_scale import Gap

__all__ = ["Bar", "Deadline", "Dot", "Drawing", "Happening", "Lane", "Link", "Run", "draw"]

AXIS: Final = 26
ROW: Final = 20
LANE_PAD: Final = 5
FOOT: Final = 16
BAR: Final = 10
CROWDED: Final = 60
"""From so many runs on, bars bear no words and rows are low."""
LETTER: Final = 0.62
"""The width of a letter, in percent of a plot of about 1,000 pixels."""
LEAST: Final = 0.5
OUTSIDE: Final = "outside"


@final
class Run(msgspec.Struct, frozen=True):
    """What is drawn of an execution. Times are ms; `ended` is None while it is open.

    `tone` is as `rendering.tone` says; `marks` are when its steps ended, `retries` when attempts failed. With `idles`
    it waited or was retried in between, so that its time may be collapsed. What is `aside` the process does not wait
    for: it stands below, pale, and no line leads to it.
    """

    node: str
    service: str
    handler: str
    of: str
    order: int
    started: int
    ended: int | None
    tone: str
    title: str
    marks: tuple[int, ...] = ()
    retries: tuple[int, ...] = ()
    idles: bool = False
    aside: bool = False


@final
class Happening(msgspec.Struct, frozen=True):
    """What is drawn of an event: `by` is the node that emitted it, None if it came from outside."""

    node: str
    order: int
    at: int
    title: str
    by: str | None = None


@final
class Deadline(msgspec.Struct, frozen=True):
    """A line at an instant: a milestone or the deadline."""

    name: str
    due: int
    late: bool


@final
class Bar(msgspec.Struct, frozen=True):
    """A run in its place."""

    run: Run
    x: float
    width: float
    y: float
    words: str
    words_x: float
    anchor: str
    marks: tuple[float, ...]
    retries: tuple[float, ...]


@final
class Dot(msgspec.Struct, frozen=True):
    """An event in its place."""

    event: Happening
    x: float
    y: float


@final
class Link(msgspec.Struct, frozen=True):
    """From an event down, or up, and over to a run that it started."""

    x1: float
    y1: float
    x2: float
    y2: float


@final
class Lane(msgspec.Struct, frozen=True):
    """A service: its name, where its stripe begins, and how high it is."""

    name: str
    y: float
    height: float


@final
class Drawing(msgspec.Struct, frozen=True):
    """The whole timeline."""

    height: float
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    dots: tuple[Dot, ...]
    links: tuple[Link, ...]
    ticks: tuple[tuple[int, float], ...]
    gaps: tuple[Gap, ...]
    lines: tuple[tuple[Deadline, float], ...]
    now: float | None
    bar_height: float


def draw(
    runs: Sequence[Run], events: Sequence[Happening], *, now: int, is_open: bool, lines: Sequence[Deadline] = ()
) -> Drawing:
    """Place everything. With `is_open` the drawing reaches until `now`, and lines up to a little beyond it."""
    lines = _near(lines, now) if is_open else lines
    newest = {event.by: event.order for event in events if event.by}
    scale = _scale(runs, events, newest, lines, now=now, is_open=is_open)
    crowded = len(runs) > CROWDED
    row, bar_height = (
        (ROW, BAR) if not crowded else (max(4, ROW * CROWDED // len(runs)), max(3, BAR * CROWDED // len(runs)))
    )
    spans = {run.node: _span(run, newest, scale, now) for run in runs}
    names = list(
        dict.fromkeys([OUTSIDE, *(run.service for run in sorted(runs, key=lambda run: (run.aside, run.order)))])
    )
    rows = _pack(runs, spans, crowded=crowded)
    lanes: list[Lane] = []
    y = float(AXIS)
    for name in names:
        high = (max((rows[run.node] for run in runs if run.service == name), default=0) + 1) * row + 2 * LANE_PAD
        lanes.append(Lane(name, y, high))
        y += high
    top = {lane.name: lane.y + LANE_PAD for lane in lanes}
    middle = {run.node: top[run.service] + rows[run.node] * row + row / 2 for run in runs}
    bars = tuple(_bar(run, spans[run.node], middle[run.node] - bar_height / 2, scale, crowded=crowded) for run in runs)
    dots = {event.node: _dot(event, middle, top[OUTSIDE] + row / 2, scale) for event in events}
    links = tuple(
        Link(dots[run.of].x, dots[run.of].y, spans[run.node][0], middle[run.node])
        for run in runs
        if run.of in dots and not run.aside
    )
    return Drawing(
        height=y + (FOOT if lines else 4),
        lanes=tuple(lanes),
        bars=bars,
        dots=tuple(dots.values()),
        links=links,
        ticks=tuple(scale.ticks()),
        gaps=scale.gaps,
        lines=tuple((line, scale.at((line.due, 0))) for line in lines if line.due <= scale.ended),
        now=scale.at((now, 1 << 62)) if is_open else None,
        bar_height=bar_height,
    )


def _near(lines: Sequence[Deadline], now: int) -> list[Deadline]:
    """What is past, and the next that is due: what lies behind that would press everything to the left."""
    coming = sorted((line for line in lines if line.due > now), key=lambda line: line.due)
    return [*(line for line in lines if line.due <= now), *coming[:1]]


def _scale(
    runs: Sequence[Run],
    events: Sequence[Happening],
    newest: dict[str, int],
    lines: Sequence[Deadline],
    *,
    now: int,
    is_open: bool,
) -> TimeScale:
    instants = [(event.at, event.order * 3) for event in events]
    busy = []
    for run in runs:
        instants.append((run.started, run.order * 3 + 1))
        instants += [(ms, run.order * 3 + 1) for ms in (*run.marks, *run.retries)]
        ended = run.ended if run.ended is not None else now if run.tone == "running" else None
        if ended is not None:
            instants.append((ended, max(run.order, newest.get(run.node, 0)) * 3 + 2))
        if ended is not None and not run.idles:
            busy.append((run.started, ended))
    if is_open:
        instants.append((now, 1 << 61))
    instants += [(line.due, 0) for line in lines if is_open or line.due <= max(instants, default=(0, 0))[0]]
    return TimeScale(instants, busy)


def _span(run: Run, newest: dict[str, int], scale: TimeScale, now: int) -> tuple[float, float]:
    begun = scale.at((run.started, run.order * 3 + 1))
    last = max(run.order, newest.get(run.node, 0)) * 3 + 2
    ended = scale.at((now, 1 << 61)) if run.ended is None else scale.at((run.ended, last))
    return begun, max(ended, begun)


def _words(run: Run) -> str:
    return run.handler if len(run.handler) <= 24 else f"{run.handler[:23]}…"


def _taken(run: Run, span: tuple[float, float], *, crowded: bool) -> tuple[float, float]:
    """The room that a bar takes in its row, its words included."""
    begun, ended = span
    if crowded:
        return begun, max(ended, begun + LEAST)
    wide = len(_words(run)) * LETTER + 1
    if ended + wide <= 100:
        return begun, ended + wide
    return max(begun - wide, 0), max(ended, begun + LEAST)


def _pack(runs: Sequence[Run], spans: dict[str, tuple[float, float]], *, crowded: bool) -> dict[str, int]:
    """The row of each run inside its lane: the first in which nothing is in its way."""
    free: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    for begun, ended, run in sorted(
        ((*_taken(run, spans[run.node], crowded=crowded), run) for run in runs),
        key=lambda each: (each[0], each[2].order),
    ):
        ends = free.setdefault(run.service, [])
        row = next((at for at, end in enumerate(ends) if end <= begun), len(ends))
        ends[row : row + 1] = [ended]
        rows[run.node] = row
    return rows


def _bar(run: Run, span: tuple[float, float], y: float, scale: TimeScale, *, crowded: bool) -> Bar:
    begun, ended = span
    words = "" if crowded else _words(run)
    is_right = ended + len(words) * LETTER + 1 <= 100
    return Bar(
        run=run,
        x=begun,
        width=round(ended - begun, 3),
        y=y,
        words=words,
        words_x=round(ended if is_right else begun, 3),
        anchor="start" if is_right else "end",
        marks=tuple(scale.at((ms, run.order * 3 + 1)) for ms in run.marks),
        retries=tuple(scale.at((ms, run.order * 3 + 1)) for ms in run.retries),
    )


def _dot(event: Happening, middle: dict[str, float], outside: float, scale: TimeScale) -> Dot:
    y = middle.get(event.by, outside) if event.by else outside
    return Dot(event, scale.at((event.at, event.order * 3)), y)

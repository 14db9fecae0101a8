"""How the rules of a process stand: a marking, changed by each event, that says at once which rule is broken.

Theory of operation. As in DCR graphs (Hildebrandt and Mukkamala, 2010) a rule needs to remember little: how often its
event happened, what is pending since when, and for how long something is excluded. `Mark` holds that for one rule,
`Marking` for all rules of one process; it is a plain value. An event changes the marks of the rules that name its type,
found by an index, and of those that wait for the very next event, and no others.

A rule is broken once, and then says nothing more in that process. A process is judged by the rules that there were when
it began: one that is new knows nothing of what happened before. Times are ms since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, assert_never, final

import msgspec

from onstage.contracts.rule import Rule
from onstage.events.codec import DecodeFailed

__all__ = ["KEYS_MAX", "Mark", "Marking", "Occurred", "RuleBook", "Violation", "decode_marking", "encode_marking"]

KEYS_MAX: Final = 1_000
"""So many keys may be pending at once for one `same_key` rule of one process; further ones are not judged."""

Occurred = tuple[str, int]
"""An event: its type, and when (ms)."""


@final
class Violation(msgspec.Struct, array_like=True, frozen=True):
    """A rule that is broken: its text, since when (ms), why in words, and the events that broke it."""

    rule: str
    at: int
    because: str
    events: tuple[Occurred, ...] = ()

    def __str__(self) -> str:
        """Why, and which events when."""
        events = ", ".join(f"{name} at {_moment(at)}" for name, at in self.events)
        return f"{self.because} ({events})" if events else self.because


@final
class Mark(msgspec.Struct, array_like=True):
    """What one rule remembers: how often its events happened, and what is pending, by key, or "" for all."""

    happened: int = 0
    pending: dict[str, Occurred] = {}


@final
class Marking(msgspec.Struct, array_like=True):
    """How the rules of one process stand. `judged` are the ids of those that it began with, `broken` what became known.

    `first` says whether anything happened, `last` what did last; `next` are the rules that wait for the next event.
    """

    judged: list[str] = []
    marks: dict[str, Mark] = {}
    broken: dict[str, Violation] = {}
    last: Occurred | None = None
    next: list[str] = []


_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")
_DECODE: Final = msgspec.msgpack.Decoder(Marking).decode


def encode_marking(marking: Marking) -> bytes:
    """The marking as bytes, the same for equal ones."""
    return _ENCODER.encode(marking)


def decode_marking(body: bytes) -> Marking:
    """The marking in stored bytes. Raises DecodeFailed if there is none."""
    try:
        return _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"marking of a process: {error}") from error


class _Event(msgspec.Struct, frozen=True):
    type: str
    at: int
    key: str | None
    before: Occurred | None

    @property
    def occurred(self) -> Occurred:
        return self.type, self.at


Broken = tuple[str, tuple[Occurred, ...]] | None
"""Why an event broke a rule, and the events that did; None if it did not."""


@final
class RuleBook:
    """The rules of one declared process, ready to be judged. It holds nothing of any process."""

    def __init__(self, rules: Iterable[Rule], external: Iterable[str] = ()) -> None:
        """`external` are types that may come at any time, so that a dead end is not the end of waiting for them."""
        self._rules = {rule.id: rule for rule in rules}
        self._external = frozenset(external)
        self._by_type: dict[str, list[str]] = {}
        for name, rule in self._rules.items():
            for each in rule.types:
                self._by_type.setdefault(each, []).append(name)
        self._first = [name for name, rule in self._rules.items() if rule.kind == "starts_with"]
        self.keyed_types = frozenset(each for rule in self._rules.values() if rule.same_key for each in rule.types)

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return bool(self._rules)

    def begin(self) -> Marking:
        """The marking of a process in which nothing has happened."""
        return Marking(judged=list(self._rules))

    def take(self, marking: Marking, type: str, ms: int, key: str | None = None) -> list[Violation]:
        """An event of this type, with this business key, happened; answers what it broke, in the order of the rules."""
        event = _Event(type, ms, key, marking.last)
        touched = self._by_type.get(type, ())
        if marking.next or (marking.last is None and self._first):
            also = {*touched, *marking.next, *(self._first if marking.last is None else ())}
            touched = [name for name in self._rules if name in also]
        waiting, marking.next = set(marking.next), []
        found = []
        for name in touched:
            if name in marking.broken or name not in marking.judged:
                continue
            rule, mark = self._rules[name], marking.marks.setdefault(name, Mark())
            broken = _overtaken(rule, event, marking.marks[name]) if name in waiting else None
            broken = broken or _taken(rule, mark, event)
            if rule.kind == "is_next_followed_by" and mark.pending:
                marking.next.append(name)
            if broken is not None:
                found.append(self._break(marking, name, ms, broken))
        marking.last = event.occurred
        return found

    def due(self, marking: Marking) -> int | None:
        """When to `lapse` next, None for never. What comes in its last ms is in time."""
        return min((at for _, at, _ in self._dues(marking)), default=None)

    def lapse(self, marking: Marking, now_ms: int) -> list[Violation]:
        """It is `now_ms`, and all that happened before was taken: answers what is late by now, the earliest first."""
        late = sorted((at, name, since) for name, at, since in self._dues(marking) if at <= now_ms)
        found = []
        for at, name, since in late:
            if name not in marking.broken:
                found.append(self._break(marking, name, at - 1, (_late(self._rules[name]), (since,))))
        return found

    def _dues(self, marking: Marking) -> Iterator[tuple[str, int, Occurred]]:
        for name, mark in marking.marks.items():
            rule = self._rules.get(name)
            if rule is None or rule.within_ms is None or name in marking.broken:
                continue
            for since in mark.pending.values():
                yield name, since[1] + rule.within_ms + 1, since

    def end(self, marking: Marking, outcome: str | None, ms: int) -> list[Violation]:
        """Nothing is open any more; answers what is broken by that.

        Without an outcome, at a dead end, nothing is said of rules that an external event may still fulfil.
        """
        found = []
        for name, rule in self._rules.items():
            if name in marking.broken or name not in marking.judged:
                continue
            if outcome is None and self._external & set(_missing(rule)):
                continue
            broken = _end(rule, marking.marks.get(name, Mark()), marking.last)
            if broken is not None:
                found.append(self._break(marking, name, ms, broken))
        return found

    def _break(self, marking: Marking, name: str, at: int, broken: tuple[str, tuple[Occurred, ...]]) -> Violation:
        because, events = broken
        violation = marking.broken[name] = Violation(self._rules[name].text, at, because, events)
        marking.marks.pop(name, None)
        if name in marking.next:
            marking.next.remove(name)
        return violation


# --- what an event does to one rule -----------------------------------------------------------------------


def _taken(rule: Rule, mark: Mark, event: _Event) -> Broken:
    match rule.kind:
        case "leads_to":
            return _leads_to(rule, mark, event)
        case "alternates_with":
            return _alternates_with(rule, mark, event)
        case "is_next_followed_by":
            return _is_next_followed_by(rule, mark, event)
        case "forbids":
            return _forbids(rule, mark, event)
        case "before":
            return _before(rule, mark, event)
        case "each_before":
            return _each_before(rule, mark, event)
        case "directly_before":
            return _directly_before(rule, event)
        case "never":
            return f"{event.type} came", (event.occurred,)
        case "never_both" | "exactly_one_of":
            return _apart(mark, event)
        case "at_most" | "exactly":
            return _at_most(rule, mark, event)
        case "at_least" | "only_if" | "both_or_neither" | "one_of":
            return _noted(mark, event)
        case "starts_with":
            return _starts_with(rule, event)
        case "ends_with":
            return None
        case _:
            assert_never(rule.kind)


def _leads_to(rule: Rule, mark: Mark, event: _Event) -> Broken:
    key = (event.key or "") if rule.same_key else ""
    if event.type in rule.to:
        since = mark.pending.pop(key, None)
        if since is not None and rule.within_ms is not None and event.at > since[1] + rule.within_ms:
            return _late(rule), (since, event.occurred)
    elif len(mark.pending) < KEYS_MAX:
        mark.pending.setdefault(key, event.occurred)
    return None


def _alternates_with(rule: Rule, mark: Mark, event: _Event) -> Broken:
    since = mark.pending.pop("", None)
    if event.type in rule.to:
        return None
    mark.pending[""] = event.occurred
    return None if since is None else (f"it came again without {_or(rule.to)} in between", (since, event.occurred))


def _is_next_followed_by(rule: Rule, mark: Mark, event: _Event) -> Broken:
    mark.pending.clear()
    if event.type in rule.of:
        mark.pending[""] = event.occurred
    return None


def _overtaken(rule: Rule, event: _Event, mark: Mark) -> Broken:
    since = mark.pending[""]
    return None if event.type in rule.to else (f"the next event was not {_or(rule.to)}", (since, event.occurred))


def _forbids(rule: Rule, mark: Mark, event: _Event) -> Broken:
    if event.type in rule.of:
        mark.pending.setdefault("", event.occurred)
    elif event.type in rule.until:
        mark.pending.clear()
    elif mark.pending:
        return f"{event.type} came after it", (mark.pending[""], event.occurred)
    return None


def _before(rule: Rule, mark: Mark, event: _Event) -> Broken:
    if event.type in rule.of:
        mark.happened = 1
        return None
    return None if mark.happened else (f"{event.type} came without {_or(rule.of)} before it", (event.occurred,))


def _each_before(rule: Rule, mark: Mark, event: _Event) -> Broken:
    broken = _before(rule, mark, event)
    if event.type in rule.to:
        mark.happened = 0
    return broken


def _directly_before(rule: Rule, event: _Event) -> Broken:
    if event.type in rule.of or (event.before is not None and event.before[0] in rule.of):
        return None
    events = (event.occurred,) if event.before is None else (event.before, event.occurred)
    return f"{event.type} did not come right after {_or(rule.of)}", events


def _apart(mark: Mark, event: _Event) -> Broken:
    mark.pending.setdefault(event.type, event.occurred)
    both = tuple(mark.pending.values())
    return None if len(both) == 1 else ("both came", both)


def _at_most(rule: Rule, mark: Mark, event: _Event) -> Broken:
    mark.happened += 1
    mark.pending[""] = mark.pending.get("", event.occurred)
    if mark.happened <= rule.count:
        return None
    return f"it came {mark.happened} times", (mark.pending[""], event.occurred)


def _noted(mark: Mark, event: _Event) -> Broken:
    mark.happened += 1
    mark.pending.setdefault(event.type, event.occurred)
    return None


def _starts_with(rule: Rule, event: _Event) -> Broken:
    if event.before is not None or event.type in rule.of:
        return None
    return f"the first event was {event.type}", (event.occurred,)


# --- what the end does ------------------------------------------------------------------------------------


def _end(rule: Rule, mark: Mark, last: Occurred | None) -> Broken:
    seen = tuple(mark.pending.values())
    match rule.kind:
        case "leads_to" | "alternates_with" | "is_next_followed_by" if seen:
            return f"the process ended without {_or(rule.to)}", seen[:1]
        case "at_least" | "exactly" if mark.happened < rule.count:
            return f"the process ended, and it came {mark.happened} times", seen
        case "only_if" if rule.of[0] in mark.pending and rule.to[0] not in mark.pending:
            return f"the process ended without {_or(rule.to)}", seen
        case "both_or_neither" if 0 < len(seen) < len(rule.of):
            absent = [name for name in rule.of if name not in mark.pending]
            return f"the process ended without {_or(tuple(absent))}", seen
        case "one_of" | "exactly_one_of" if not seen:
            return "the process ended without any of them", ()
        case "ends_with" if last is None or last[0] not in rule.of:
            return f"the last event was {last[0] if last else 'none'}", () if last is None else (last,)
        case _:
            return None


def _missing(rule: Rule) -> tuple[str, ...]:
    return rule.of if rule.kind not in ("leads_to", "alternates_with", "is_next_followed_by", "only_if") else rule.to


def _late(rule: Rule) -> str:
    return f"{_or(rule.to)} did not come within {(rule.within_ms or 0) / 1000:g} s"


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _moment(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ms % 1000:03} UTC"

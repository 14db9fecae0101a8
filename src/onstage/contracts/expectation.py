"""``expect``: rules over the events of a process, the same in a test and in production, judged and never enforced."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from onstage.contracts.contradiction import refuse_contradictory
from onstage.contracts.inference import Duration, declared_duration, declared_events
from onstage.contracts.manifest import HandlerManifest
from onstage.contracts.process import Process
from onstage.contracts.rule import Kind, Rule, WrittenRule
from onstage.errors import refusal
from onstage.events.event import EventType

__all__ = [
    "RULES_MAX",
    "Every",
    "Expectation",
    "at_least",
    "at_least_once",
    "at_most",
    "at_most_once",
    "before",
    "both_or_neither",
    "directly_before",
    "each_before",
    "ends_with",
    "every",
    "exactly",
    "exactly_once",
    "exactly_one_of",
    "expect",
    "never",
    "never_both",
    "one_of",
    "only_if",
    "refuse_foreign_rules",
    "starts_with",
    "with_expectations",
]

RULES_MAX: Final = 100
"""So many rules may one process have."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """Rules over the processes of one name; made by `expect`, given to `App(...)` beside the processes."""

    process: str
    rules: tuple[WrittenRule, ...]
    where: str


def expect(process: str | Process, *rules: WrittenRule) -> Expectation:
    """What must hold in every process of this name.

    Raises:
        DefinitionError: if there is no rule, one comes twice, or they contradict each other.
    """
    where, given = _caller(1), tuple[object, ...](rules)
    name = process.name if isinstance(process, Process) else process
    if not rules:
        mend = "write a rule: expect(..., at_most_once(SomeEvent))"
        raise refusal(f"the expectation of process {name} has no rule", "it would hold whatever happens", mend, where)
    for each in given:
        if not isinstance(each, WrittenRule):
            why = "every(SomeEvent) alone says nothing" if isinstance(each, Every) else "it is none"
            mend = "write every(SomeEvent).leads_to(AnotherEvent), or a function of onstage.expectations"
            raise refusal(f"the expectation of process {name} has {each!r} as a rule", why, mend, where)
    refuse_contradictory(name, rules)
    return Expectation(name, rules, where)


def with_expectations(processes: Sequence[Process], expectations: Sequence[Expectation]) -> tuple[Process, ...]:
    """Return the processes, those of which something is expected with their rules.

    Raises:
        DefinitionError: if there is no such process, or the rules of one contradict each other or are too many.
    """
    by_name = {process.name: process for process in processes}
    for expectation in expectations:
        process = by_name.get(expectation.process)
        if process is None:
            what = f"there is an expectation of process {expectation.process}, which is absent"
            mend = f"add it to App(...), or name one of: {', '.join(sorted(by_name)) or 'there is none'}"
            raise refusal(what, "nobody would ever judge it", mend, expectation.where)
        process = by_name[process.name] = process.with_rules(expectation.rules)
        if len(process.rules) > RULES_MAX:
            what = f"process {process.name} has {len(process.rules)} rules"
            raise refusal(what, f"{RULES_MAX} is the most", "remove the least important ones", expectation.where)
        refuse_contradictory(process.name, process.rules)
    return tuple(by_name[process.name] if by_name[process.name].rules else process for process in processes)


def refuse_foreign_rules(process: Process, handlers: Sequence[HandlerManifest]) -> None:
    """Look whether what the rules are about can happen in the process; what `never` forbids need not.

    Raises:
        DefinitionError: if something cannot.
    """
    if not process.rules:
        return
    known = process.known_types(handlers)
    for each in process.rules:
        foreign = [] if each.rule.kind == "never" else [named for named in each.types if named.name not in known]
        if foreign:
            what = f"rule {each.rule.text} is about {foreign[0].cls.__name__}, which no process {process.name} can have"
            why = "it is not declared there, and no gating handler of its events emits it or waits for it"
            mend = f"remove it, or add external={foreign[0].cls.__name__} to the process"
            raise refusal(what, why, mend, each.where)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rule under way: the text to be, and where it is written."""

    call: str
    where: str

    def events(self, classes: Sequence[type[Any]], *, least: int = 1) -> tuple[EventType, ...]:
        owner = f"rule {self.call}(...)"
        known = declared_events(owner, self.call, tuple(classes), self.where)
        if len(known) != len(classes):
            raise refusal(f"{owner} names an event twice", "once says the same", "remove one of the two", self.where)
        if len(known) < least:
            why = "without one it would say nothing" if least == 1 else f"it is about {least} or more"
            raise refusal(f"{owner} names too few events", why, f"write {self.call}(SomeEvent, ...)", self.where)
        return known

    def rule(
        self,
        kind: Kind,
        text: str,
        of: tuple[EventType, ...],
        *others: tuple[EventType, ...],
        **more: Any,
    ) -> WrittenRule:
        to, until = (*others, (), ())[:2]
        both = [known.cls.__name__ for known in of if known in to]
        if both:
            why = f"{both[0]} stands on both sides, so it could never hold, or always would"
            raise refusal(f"rule {text} is about itself", why, "name another event on one side", self.where)
        types = tuple(dict.fromkeys((*of, *to, *until)))
        rule = Rule(text=text, kind=kind, of=_names(of), to=_names(to), until=_names(until), **more)
        return WrittenRule(rule, types, self.where)


@final
@dataclass(frozen=True, slots=True)
class Every:
    """Each event of some types, of which a rule is to say something; made by `every`."""

    of: tuple[EventType, ...]
    where: str

    def _rule(self, kind: Kind, classes: Sequence[type[Any]], options: str = "", **more: Any) -> WrittenRule:
        draft = _Draft(kind, self.where)
        to = draft.events(classes)
        return draft.rule(kind, f"every({_shown(self.of)}).{kind}({_shown(to)}{options})", self.of, to, **more)

    def leads_to(self, *then: type[Any], within: Duration | None = None, same_key: bool = False) -> WrittenRule:
        """After each of them one of `then` comes: `within` this time, or before the process ends.

        One answers all that are open; with `same_key` only those that have its business key.
        """
        within_ms = None
        if within is not None:
            within_ms = max(round(declared_duration("rule leads_to(...)", "within", within, self.where) * 1000), 1)
        options = "" if within is None else f", within={within!r}"
        options += ", same_key=True" if same_key else ""
        return self._rule("leads_to", then, options, within_ms=within_ms, same_key=same_key)

    def alternates_with(self, *then: type[Any]) -> WrittenRule:
        """After each of them one of `then` comes before the next of them does, and before the process ends."""
        return self._rule("alternates_with", then)

    def is_next_followed_by(self, *then: type[Any]) -> WrittenRule:
        """The very next event of the process is one of `then`."""
        return self._rule("is_next_followed_by", then)

    def forbids(self, *then: type[Any], until: type[Any] | Sequence[type[Any]] = ()) -> WrittenRule:
        """After one of them none of `then` comes any more, or none until one of `until` has."""
        draft = _Draft("forbids", self.where)
        to, end = draft.events(then), draft.events([until] if isinstance(until, type) else list(until), least=0)
        if set(end) & {*to, *self.of}:
            what, why = "rule forbids(...) is lifted by what it is about", "it would lift itself at once"
            raise refusal(what, why, "name another event in until=", self.where)
        lifted = f", until={_shown(end)}" if len(end) == 1 else f", until=[{_shown(end)}]" if end else ""
        return draft.rule("forbids", f"every({_shown(self.of)}).forbids({_shown(to)}{lifted})", self.of, to, end)


def every(*events: type[Any]) -> Every:
    """Each event of these types: say what of it with a method, such as `every(A).leads_to(B, within="3d")`."""
    draft = _Draft("every", _caller(1))
    return Every(draft.events(events), draft.where)


def _pair(kind: Kind, first: type[Any], second: type[Any]) -> WrittenRule:
    draft = _Draft(kind, _caller(2))
    of, to = draft.events([first]), draft.events([second])
    return draft.rule(kind, f"{kind}({_shown(of)}, {_shown(to)})", of, to)


def _group(kind: Kind, events: Sequence[type[Any]], *, least: int = 1) -> WrittenRule:
    draft = _Draft(kind, _caller(2))
    of = draft.events(events, least=least)
    return draft.rule(kind, f"{kind}({_shown(of)})", of)


def before(first: type[Any], then: type[Any]) -> WrittenRule:
    """No `then` comes before the first `first`: `then` is absent until `first` was there."""
    return _pair("before", first, then)


def each_before(first: type[Any], then: type[Any]) -> WrittenRule:
    """Each `then` needs a `first` of its own since the last `then`."""
    return _pair("each_before", first, then)


def directly_before(first: type[Any], then: type[Any]) -> WrittenRule:
    """The event of the process right before each `then` is a `first`."""
    return _pair("directly_before", first, then)


def only_if(event: type[Any], needed: type[Any]) -> WrittenRule:
    """If `event` comes, then `needed` comes too in the same process, earlier or later."""
    return _pair("only_if", event, needed)


def never(*events: type[Any]) -> WrittenRule:
    """None of these comes."""
    return _group("never", events)


def never_both(*events: type[Any]) -> WrittenRule:
    """Of these types, two or more, at most one comes, however often."""
    return _group("never_both", events, least=2)


def both_or_neither(*events: type[Any]) -> WrittenRule:
    """All of these types, two or more, have come when the process ends, or none."""
    return _group("both_or_neither", events, least=2)


def one_of(*events: type[Any]) -> WrittenRule:
    """At least one of these types, two or more, has come when the process ends."""
    return _group("one_of", events, least=2)


def exactly_one_of(*events: type[Any]) -> WrittenRule:
    """One of these types, two or more, comes, and none of the others."""
    return _group("exactly_one_of", events, least=2)


def starts_with(*events: type[Any]) -> WrittenRule:
    """The first event of the process is one of these."""
    return _group("starts_with", events)


def ends_with(*events: type[Any]) -> WrittenRule:
    """The last event of the process, when it ends, is one of these."""
    return _group("ends_with", events)


def _counted(kind: Kind, count: int, events: Sequence[type[Any]], text: str = "") -> WrittenRule:
    draft = _Draft(text or kind, _caller(2))
    of = draft.events(events)
    if type(count) is not int or count < 1:
        mend = "write 1 or more; for none at all, never(SomeEvent)"
        raise refusal(f"rule {kind}({count!r}, ...) counts nothing", "the number is 1 or more", mend, draft.where)
    shown = f"{text}({_shown(of)})" if text else f"{kind}({count}, {_shown(of)})"
    return draft.rule(kind, shown, of, count=count)


def at_most(count: int, *events: type[Any]) -> WrittenRule:
    """Of these types together at most `count` events come."""
    return _counted("at_most", count, events)


def at_least(count: int, *events: type[Any]) -> WrittenRule:
    """Of these types together at least `count` events have come when the process ends."""
    return _counted("at_least", count, events)


def exactly(count: int, *events: type[Any]) -> WrittenRule:
    """Of these types together `count` events come, no more and no fewer."""
    return _counted("exactly", count, events)


def at_most_once(*events: type[Any]) -> WrittenRule:
    """Of these types together at most one event comes."""
    return _counted("at_most", 1, events, "at_most_once")


def at_least_once(*events: type[Any]) -> WrittenRule:
    """Of these types together at least one event has come when the process ends."""
    return _counted("at_least", 1, events, "at_least_once")


def exactly_once(*events: type[Any]) -> WrittenRule:
    """Of these types together exactly one event comes."""
    return _counted("exactly", 1, events, "exactly_once")


def _names(types: tuple[EventType, ...]) -> tuple[str, ...]:
    return tuple(known.name for known in types)


def _shown(types: tuple[EventType, ...]) -> str:
    return ", ".join(known.cls.__name__ for known in types)


def _caller(depth: int) -> str:
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - the documented way that costs no source lookup
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"

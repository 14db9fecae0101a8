"""``Process``: what a business process looks like from outside, declared and watched, never driven."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypedDict, Unpack, final

from onstage.contracts.inference import (
    Duration,
    Events,
    declared_duration,
    declared_events,
    refuse_unknown_options,
)
from onstage.contracts.manifest import HandlerManifest, ProcessManifest
from onstage.contracts.rule import WrittenRule
from onstage.contracts.service import Service
from onstage.errors import refusal
from onstage.events.event import EventType, event_type
from onstage.events.topic import Topic

__all__ = ["Process", "ProcessOptions"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class ProcessOptions(TypedDict, total=False):
    """The options of ``Process``.

    ``failed`` are the outcomes that undo. ``within`` gives milestones their time since the start; late ones
    are shown and alerted. ``deadline`` limits the whole; ``late`` makes the event that ends it then.
    ``external`` are events that come from outside. ``owner`` is the service that keeps the process (default:
    the first gating subscriber of ``starts``). With ``one_per_key`` a second start joins the open process.
    Unless ``undo`` is False, an outcome in ``failed``, or a handler that rejects, has undone what was done.
    ``on_undo_failure`` is ``"wait"``: an undo whose attempts are spent waits for an operator; or ``"residue"``: it
    is given up, the rest proceeds, and the verdict names it.
    """

    failed: Events
    within: Mapping[type[Any], Duration]
    deadline: Duration | None
    late: Callable[[Any], object] | None
    external: Events
    owner: Service | None
    one_per_key: bool
    undo: bool
    on_undo_failure: Literal["wait", "residue"]


@final
@dataclass(frozen=True, slots=True, init=False, eq=False)
class Process:
    """A declared process; equal by identity. Event types are in the order given, durations in seconds.

    ``within_s`` maps the name of a milestone to its time since the start, ``rules`` are what is expected of it.

    Raises:
        DefinitionError: if one of the classes is not an event, a duration is none, ``late`` has no
            ``deadline``, an outcome both succeeds and fails, or the name is not one lower-case token.
    """

    name: str
    starts: tuple[EventType, ...]
    done: tuple[EventType, ...]
    failed: tuple[EventType, ...]
    milestones: tuple[EventType, ...]
    within_s: Mapping[str, float]
    deadline_s: float | None
    late: Callable[[Any], object] | None
    external: tuple[EventType, ...]
    owner: Service | None
    one_per_key: bool
    where: str
    rules: tuple[WrittenRule, ...]
    undo: bool
    on_undo_failure: Literal["wait", "residue"]

    def __init__(self, name: str, *, starts: Events, done: Events, **options: Unpack[ProcessOptions]) -> None:
        """Check and freeze the declaration; see ``ProcessOptions`` for the options."""
        frame = sys._getframe(1)  # noqa: SLF001 - the documented way that costs no source lookup
        declared = _Declaration(name, f"{frame.f_code.co_filename}:{frame.f_lineno}")
        declared.refuse_wrong_name()
        declared.refuse_wrong_options(options)
        within, deadline = options.get("within", {}), options.get("deadline")
        values: dict[str, object] = {
            "name": name,
            "starts": declared.events("starts", starts, least=1),
            "done": declared.events("done", done, least=1),
            "failed": declared.events("failed", options.get("failed", ())),
            "milestones": declared.events("within", within),
            "within_s": declared.within(within),
            "deadline_s": None if deadline is None else declared.duration("deadline", deadline),
            "late": options.get("late"),
            "external": declared.events("external", options.get("external", ())),
            "owner": options.get("owner"),
            "one_per_key": options.get("one_per_key", False),
            "where": declared.where,
            "rules": (),
            "undo": options.get("undo", True),
            "on_undo_failure": options.get("on_undo_failure", "wait"),
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)
        declared.refuse_contradictions(self)

    def with_rules(self, rules: Sequence[WrittenRule]) -> Process:
        """Return the same declaration with these rules as well; it is another object."""
        copied = object.__new__(Process)
        for attribute in Process.__slots__:
            object.__setattr__(copied, attribute, getattr(self, attribute))
        object.__setattr__(copied, "rules", (*self.rules, *rules))
        return copied

    @property
    def outcomes(self) -> frozenset[str]:
        """The names of the events that end this process, well or not."""
        return frozenset(known.name for known in (*self.done, *self.failed))

    @property
    def event_types(self) -> tuple[EventType, ...]:
        """Every event type that the declaration names, each once."""
        named = (*self.starts, *self.done, *self.failed, *self.milestones, *self.external)
        return tuple(dict.fromkeys(named))

    def known_types(self, handlers: Iterable[HandlerManifest]) -> frozenset[str]:
        """Return the names of the event types that can belong to this process, given all ``handlers``.

        The least set that holds what the declaration names, and with a type also what the gating handlers of
        that type emit and wait for. Linear in the size of the manifests, except for pattern handlers.
        """
        listening, matching = _index(handlers)
        known: set[str] = set()
        pending = {named.name for named in self.event_types}
        while pending:
            name = pending.pop()
            known.add(name)
            reached = [*listening.get(name, ()), *(each for topic, each in matching if topic.matches(name))]
            spoken = (part for each in reached for part in (*each.emits, *each.waits))
            pending.update(part for part in spoken if part not in known)
        return frozenset(known)

    def manifest(self) -> ProcessManifest:
        """Return what this process declares, as a plain value."""
        return ProcessManifest(
            name=self.name,
            starts=_names(self.starts),
            done=_names(self.done),
            failed=_names(self.failed),
            within_s=dict(self.within_s),
            deadline_s=self.deadline_s,
            late=self.late is not None,
            external=_names(self.external),
            owner=self.owner.name if self.owner else None,
            one_per_key=self.one_per_key,
            rules=tuple(sorted(each.rule for each in self.rules)),
            undo=self.undo,
        )


def _names(types: tuple[EventType, ...]) -> tuple[str, ...]:
    return tuple(known.name for known in types)


def _index(
    handlers: Iterable[HandlerManifest],
) -> tuple[dict[str, list[HandlerManifest]], list[tuple[Topic, HandlerManifest]]]:
    listening: dict[str, list[HandlerManifest]] = {}
    matching: list[tuple[Topic, HandlerManifest]] = []
    for each in handlers:
        if each.gating and each.pattern:
            matching.extend((Topic(pattern), each) for pattern in each.triggers)
        elif each.gating:
            for trigger in each.triggers:
                listening.setdefault(trigger, []).append(each)
    return listening, matching


@final
@dataclass(frozen=True, slots=True)
class _Declaration:
    """The name and place of a declaration under way, so that every refusal can say both."""

    name: str
    where: str

    def refuse_wrong_name(self) -> None:
        if not _NAME.fullmatch(str(self.name)):
            why = "a name is 1 to 64 of a-z, 0-9, - and _, beginning with a-z or 0-9"
            what = f"a process cannot be named {self.name!r}"
            raise refusal(what, why, 'write a name such as Process("order", ...)', self.where)

    def refuse_wrong_options(self, options: Mapping[str, object]) -> None:
        refuse_unknown_options(f"process {self.name}", options, ProcessOptions, self.where)
        owner = options.get("owner")
        if owner is not None and not isinstance(owner, Service):
            what = f"process {self.name} has owner={owner!r}"
            raise refusal(what, "the owner is a service", "give the Service object itself", self.where)
        policy = options.get("on_undo_failure", "wait")
        if policy not in ("wait", "residue"):
            what, why = f"process {self.name} has on_undo_failure={policy!r}", 'it is "wait" or "residue"'
            raise refusal(what, why, "choose one of them", self.where)
        late = options.get("late")
        if late is not None and not callable(late):
            mend = "write late=lambda e: SomeOutcome(e.order_id)"
            raise refusal(f"process {self.name} has late={late!r}", "it cannot be called", mend, self.where)

    def events(self, option: str, classes: Events, *, least: int = 0) -> tuple[EventType, ...]:
        known = declared_events(f"process {self.name}", option, classes, self.where)
        if len(known) < least:
            mend = f"write {option}=SomeEvent"
            raise refusal(f"process {self.name} has an empty {option}=", "it needs an event", mend, self.where)
        return known

    def within(self, milestones: Mapping[type[Any], Duration]) -> Mapping[str, float]:
        timed = {event_type(cls).name: self.duration("within", limit) for cls, limit in milestones.items()}
        return MappingProxyType(timed)

    def duration(self, option: str, value: Duration) -> float:
        return declared_duration(f"process {self.name}", option, value, self.where)

    def refuse_contradictions(self, process: Process) -> None:
        both = [known.name for known in process.done if known in process.failed]
        if both:
            what = f"process {self.name} has {both[0]} in done= and in failed="
            raise refusal(what, "an outcome is one or the other", "remove it from one of them", self.where)
        ends = [known.name for known in process.starts if known.name in process.outcomes]
        if ends:
            what = f"process {self.name} has {ends[0]} in starts= and among its outcomes"
            raise refusal(what, "it would end as it begins", "end it with another event", self.where)
        if process.late is not None and process.deadline_s is None:
            what, mend = (
                f"process {self.name} has late= but no deadline=",
                'add deadline="3d", or remove late=',
            )
            raise refusal(what, "it could never run", mend, self.where)

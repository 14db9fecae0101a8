"""How far a process has come: a fold over its receipts, the same whoever folds it and however often it was stopped.

Theory of operation. A `Plan` says what a declared process promises: milestones, a deadline, outcomes. `Progress` is
folded from what its receipts say (`Heard`), one after the other: what was opened and settled (the digest), which types
occurred and when, what was set aside. Only `lapse` is told what time it is. Both answer the changes of verdict that
came of it; they are numbered, so that a change has one identity for ever.

The rules of an expectation are judged by a marking (`onstage.observe.marking`), which is part of the row.

An event has come in time if its own clock says so, whenever somebody looks at it. A milestone is not owed any more once
there is an outcome, and one that comes late lifts what its lateness did.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, final

import msgspec

from onstage.events.codec import DecodeFailed
from onstage.events.receipt import Status
from onstage.observe.marking import Marking, RuleBook, Violation

if TYPE_CHECKING:
    from onstage.contracts.manifest import AppManifest, ProcessManifest

__all__ = [
    "LANE_CYCLE",
    "NO_NODE",
    "UNDECLARED",
    "Change",
    "Heard",
    "Kind",
    "Plan",
    "Progress",
    "decode_progress",
    "encode_progress",
    "owed_by",
    "plan_of",
]

Kind = Literal["completed", "dead-end", "stuck", "overdue", "violated", "reopened"]
"""What changed of a verdict; the types of the events that tell it are named so."""

NO_NODE: Final = "no live node"
"""Why an obligation is blocked whose handler nobody runs."""
LANE_CYCLE: Final = "lane cycle"
"""Why one is blocked that waits for a lane, whose holder waits for what comes of it."""
_BLOCKED: Final = {
    NO_NODE: "no live node has this handler",
    LANE_CYCLE: "it is behind an execution that it comes from, which waits for it (a lane cycle)",
}
_ASIDE: Final = {Status.PARKED: "a dead letter", Status.DIVERGED: "diverged"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a process promises. Times are ms since its start.

    Only where it `is_whole` do all its receipts come by: elsewhere nothing is said of its end.
    """

    declared: str | None
    starts: frozenset[str] = frozenset()
    outcomes: frozenset[str] = frozenset()
    within_ms: dict[str, int] = {}
    deadline_ms: int | None = None
    is_whole: bool = True
    book: RuleBook = RuleBook(())

    @property
    def keyed_types(self) -> frozenset[str]:
        """The event types whose keys have to be heard, for a rule."""
        return self.book.keyed_types


def owed_by(manifest: AppManifest, milestone: str) -> tuple[str, ...]:
    """The services with a handler that emits a milestone, in order."""
    return tuple(sorted({each.service for each in manifest.handlers if milestone in each.emits}))


UNDECLARED: Final = Plan(declared=None, is_whole=False)
"""Of a process that nobody declares: it promises nothing, and can get stuck all the same."""


def plan_of(process: ProcessManifest) -> Plan:
    """What a declared process promises."""
    return Plan(
        declared=process.name,
        starts=frozenset(process.starts),
        outcomes=frozenset((*process.done, *process.failed)),
        within_ms={name: round(limit_s * 1000) for name, limit_s in process.within_s.items()},
        deadline_ms=None if process.deadline_s is None else round(process.deadline_s * 1000),
        book=RuleBook(process.rules, process.external),
    )


class Heard(NamedTuple):
    """What one receipt says: when (ms), about which obligation of which handler, and the types of what occurred.

    `keys` are the business keys of those, as far as the plan wants them; `is_input` if it came from outside.
    """

    at: int
    obligation: str
    status: int
    delta: bytes
    types: tuple[str, ...] = ()
    error: str | None = None
    handler: str = ""
    is_input: bool = False
    keys: tuple[str | None, ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of verdict: the `number`-th of its process, when (ms), and why.

    Of one that is overdue, `milestone` is the event type that did not come by `due` (ms), None for the whole process.
    Of one that is violated, `rule` is the rule, as it was written. `mark` is what tells it from others of its kind in
    its process, whoever finds it and whatever they found before.
    """

    kind: Kind
    number: int
    at: int
    outcome: str | None = None
    reason: str = ""
    milestone: str | None = None
    due: int | None = None
    rule: str | None = None
    mark: str = ""

    @property
    def name(self) -> str:
        """What it is called among the changes of its process; not by its number, which depends on who counts."""
        return f"{self.kind}/{blake2b(self.mark.encode(), digest_size=8).hexdigest()}"

    @property
    def is_of_end(self) -> bool:
        """Whether the next one of these takes its place: it has ended, or is open again."""
        return self.kind in ("completed", "dead-end", "reopened")


class Aside(msgspec.Struct, array_like=True, frozen=True):
    """An obligation that was set aside: how, since when (ms), and why."""

    status: int
    since: int
    error: str | None = None


@final
class Progress(msgspec.Struct, omit_defaults=True):
    """How far one process has come. Times are ms since the epoch.

    `due` says when which milestone must have come, `seen` when it came, `told` which ones were said to be late.
    `deadline` is when the whole must have an outcome; `over` says what came of that: "met", "late" (the event was
    emitted), "passed" (there is none to emit) or "failed". `end` is "completed" or "dead end" while nothing is open.
    `marking` is how its rules stand, None without rules, and `rules_due` when one of them is due. `inputs` counts what
    came from outside. `blocked` says of obligations that cannot go on, although nothing set them aside, why.
    """

    digest: bytes = bytes(16)
    begun: int | None = None
    due: dict[str, int] = {}
    seen: dict[str, int] = {}
    told: list[str] = []
    deadline: int | None = None
    over: str = ""
    outcome: str | None = None
    end: str = ""
    aside: dict[str, Aside] = {}
    count: int = 0
    marking: Marking | None = None
    rules_due: int | None = None
    inputs: int = 0
    blocked: dict[str, str] = {}

    # The fold.

    def hear(self, plan: Plan, heard: Heard) -> list[Change]:
        """Take one receipt; answers what changed of the verdict."""
        changes: list[Change] = []
        self.inputs += heard.is_input
        if plan.book and self.marking is None and self.begun is None:
            self.marking = plan.book.begin()
        for place, name in enumerate(heard.types):
            self._occurred(plan, name, heard.at, changes)
            if self.marking is not None:
                key = heard.keys[place] if heard.keys else None
                self._violated(plan.book.take(self.marking, name, heard.at, key), changes)
        self._set_aside(heard, changes)
        if any(heard.delta):
            mixed = int.from_bytes(self.digest, "big") ^ int.from_bytes(heard.delta, "big")
            self.digest = mixed.to_bytes(16, "big")
        if plan.is_whole:
            self._end(plan, heard.at, changes)
        self._look_again(plan)
        return changes

    def _occurred(self, plan: Plan, name: str, at: int, changes: list[Change]) -> None:
        if self.begun is None and name in plan.starts:
            self.begun = at
            self.due = {milestone: at + limit for milestone, limit in plan.within_ms.items()}
            self.deadline = None if plan.deadline_ms is None else at + plan.deadline_ms
        if name in self.due and name not in self.seen:
            if at > self.due[name] and self.outcome is None:
                self._late(name, at, changes)  # nobody looked while it was late
            self.seen[name] = at
        if name in plan.outcomes and self.outcome is None:
            self._lapse_milestones(at, changes)
            self.outcome = name
            if self.deadline is not None and not self.over:
                self.over = "met"

    def _set_aside(self, heard: Heard, changes: list[Change]) -> None:
        self.blocked.pop(heard.obligation, None)
        if heard.status not in _ASIDE:
            self.aside.pop(heard.obligation, None)
            return
        is_first = not self.is_stuck
        self.aside[heard.obligation] = Aside(heard.status, heard.at, heard.error)
        if is_first:
            reason = f"{heard.handler} is {_ASIDE[Status(heard.status)]}: {(heard.error or '').partition(chr(10))[0]}"
            changes.append(self._change("stuck", heard.at, reason=reason, mark=f"{heard.at} {heard.handler}"))

    def block(self, obligation: str, handler: str, why: str, at: int) -> list[Change]:
        """An obligation that is open was found to be kept from going on, such as by "no live node"."""
        if obligation in self.aside or obligation in self.blocked:
            return []
        is_first = not self.is_stuck
        self.blocked[obligation] = why
        reason, mark = f"{handler}: {_BLOCKED.get(why, why)}", f"{why} {handler}"
        return [self._change("stuck", at, reason=reason, mark=mark)] if is_first else []

    def unblock(self, obligation: str) -> bool:
        """It can go on; whether it could not."""
        return self.blocked.pop(obligation, None) is not None

    def _violated(self, violations: list[Violation], changes: list[Change]) -> None:
        changes += [
            self._change("violated", each.at, reason=str(each), rule=each.rule, mark=each.rule) for each in violations
        ]

    def _look_again(self, plan: Plan) -> None:
        if self.marking is not None:
            self.rules_due = plan.book.due(self.marking)

    def _end(self, plan: Plan, at: int, changes: list[Change]) -> None:
        if any(self.digest):
            if self.end:
                changes.append(self._change("reopened", at, mark=str(self.inputs)))
            self.end = ""
            return
        end = "dead end" if self.outcome is None else "completed"
        if self.end != end:
            self.end = end
            if self.marking is not None:
                self._violated(plan.book.end(self.marking, self.outcome, at), changes)
            kind: Kind = "dead-end" if self.outcome is None else "completed"
            changes.append(self._change(kind, at, mark=str(self.inputs)))

    # Time.

    def lapse(self, now: int, plan: Plan | None = None) -> list[Change]:
        """It is `now`, and all that happened before has been heard: say what is late by now."""
        changes: list[Change] = []
        self._lapse_milestones(now, changes)
        if self.marking is not None and plan is not None:
            self._violated(plan.book.lapse(self.marking, now), changes)
            self._look_again(plan)
        return changes

    def _lapse_milestones(self, now: int, changes: list[Change]) -> None:
        for name in sorted(self.owed, key=self.due.__getitem__):
            if self.due[name] < now:
                self._late(name, self.due[name], changes)

    def _late(self, name: str, at: int, changes: list[Change]) -> None:
        if name in self.told:
            return
        self.told.append(name)
        changes.append(self._change("overdue", at, milestone=name, due=self.due[name], mark=name))

    def passed(self, now: int, over: str, reason: str = "") -> list[Change]:
        """The deadline is over without an outcome; `over` is what came of it."""
        self.over = over
        if over in ("late", "met"):
            return []
        return [self._change("overdue", now, due=self.deadline, reason=reason)]

    def _change(self, kind: Kind, at: int, **more: Any) -> Change:
        self.count += 1
        return Change(kind=kind, number=self.count, at=at, outcome=self.outcome, **more)

    # What is to be said.

    @property
    def owed(self) -> list[str]:
        """The milestones that have not come, and still should."""
        return [] if self.outcome is not None else [name for name in self.due if name not in self.seen]

    @property
    def late(self) -> list[str]:
        """Those of them that were said to be late."""
        return [name for name in self.owed if name in self.told]

    @property
    def is_past_deadline(self) -> bool:
        """Whether the deadline is over, nothing was emitted for it, and there is no outcome."""
        return self.over in ("passed", "failed") and self.outcome is None

    @property
    def broken(self) -> list[Violation]:
        """The rules that it broke, in the order in which that became known."""
        return [] if self.marking is None else list(self.marking.broken.values())

    @property
    def is_stuck(self) -> bool:
        """Whether something of it was set aside, or cannot go on."""
        return bool(self.aside or self.blocked)

    @property
    def state(self) -> str:
        """In a word: completed, dead end, stuck, overdue or open."""
        if self.end or self.is_stuck:
            return self.end or "stuck"
        return "overdue" if self.late or self.is_past_deadline else "open"

    @property
    def next_due(self) -> int | None:
        """When somebody has to look at it again (ms), None for never. A milestone may still come in its last ms."""
        dues = [self.due[name] + 1 for name in self.owed if name not in self.told]
        if self.deadline is not None and not self.over and self.outcome is None:
            dues.append(self.deadline)
        if self.rules_due is not None:
            dues.append(self.rules_due)
        return min(dues, default=None)


encode_progress: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Progress).decode


def decode_progress(body: bytes) -> Progress:
    """The progress in a stored row. Raises DecodeFailed if there is none."""
    try:
        return _DECODE(body)
    except (ValueError, RecursionError) as error:
        raise DecodeFailed(f"progress of a process: {error}") from error

"""Rules of one process that cannot hold together, found when they are written.

Each pair is looked at: whether one cannot hold where the other does, or only because what it is about never comes.
Rules that fit in pairs may still not fit together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onstage.contracts.rule import Rule, WrittenRule
from onstage.errors import refusal

__all__ = ["refuse_contradictory"]


def refuse_contradictory(process: str, rules: Sequence[WrittenRule]) -> None:
    """Look at each pair of rules.

    Raises:
        DefinitionError: if one comes twice, or two cannot hold together.
    """
    for index, later in enumerate(rules):
        for earlier in rules[:index]:
            if later.rule.text == earlier.rule.text:
                what = f"the expectation of process {process} has {later.rule.text} twice"
                raise refusal(what, f"the other is at {earlier.where}", "remove one of the two", later.where)
            why = next(_clashes(earlier.rule, later.rule), None) or next(_clashes(later.rule, earlier.rule), None)
            if why is not None:
                what = f"{later.rule.text} contradicts {earlier.rule.text}, of the same process {process}"
                raise refusal(what, why, f"remove one of the two; the other is at {earlier.where}", later.where)


def _clashes(one: Rule, other: Rule) -> Iterator[str]:
    """Why they cannot hold together; empty if they can, as far as one sees."""
    if one.kind == other.kind in ("starts_with", "ends_with") and not set(one.of) & set(other.of):
        yield "no event is both"
    if one.kind == "never" and (lost := _demands(other)) and lost <= set(one.of):
        yield f"the one demands {' or '.join(sorted(lost))}, the other forbids it"
    if one.kind == other.kind == "before" and (one.of, one.to) == (other.to, other.of):
        yield "each waits for the other, so neither could come"
    least, most = _least(one), _most(other)
    if least is not None and most is not None and set(one.of) <= set(other.of) and least > most:
        yield f"{least} or more are demanded, and at most {most} allowed"
    if one.kind == "never_both":
        yield from _torn(set(one.of), other)


def _demands(rule: Rule) -> set[str]:
    """Types of which one at least has to come in every process, or whenever an event that the rule is about does."""
    match rule.kind:
        case "at_least" | "exactly" | "one_of" | "exactly_one_of" | "starts_with" | "ends_with":
            return set(rule.of)
        case "leads_to" | "alternates_with" | "is_next_followed_by" | "only_if":
            return set(rule.to)
        case "before" | "each_before" | "directly_before":
            return set(rule.of)
        case _:
            return set()


def _least(rule: Rule) -> int | None:
    return rule.count if rule.kind in ("at_least", "exactly") else None


def _most(rule: Rule) -> int | None:
    return rule.count if rule.kind in ("at_most", "exactly") else None


def _torn(apart: set[str], rule: Rule) -> Iterator[str]:
    """Why a rule cannot hold with types of which at most one comes."""
    needs_each_other = rule.kind in (
        "leads_to", "alternates_with", "is_next_followed_by", "only_if", "before", "each_before", "directly_before"
    )  # fmt: skip
    if needs_each_other and {*rule.of, *rule.to} <= apart:
        yield "the one demands both, the other allows only one of them"
    if rule.kind == "both_or_neither" and len(apart & set(rule.of)) > 1:
        yield "the one demands both, the other allows only one of them"

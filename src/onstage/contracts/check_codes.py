"""What `onstage check` can find: the codes, which never change their meaning, and the form of a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, final

import msgspec

from onstage.contracts.manifest import HandlerManifest

__all__ = ["CODES", "Finding", "Severity", "about", "in_order"]

Severity = Literal["error", "warning", "info"]

CODES: Final[Mapping[str, str]] = {
    "OS101": "an event that nobody handles, and that is no outcome",
    "OS102": "a handler that can never run",
    "OS103": "an event starts a handler, and nobody produces it",
    "OS104": "a handler waits for an event that nobody produces",
    "OS105": "a process cannot reach one of its outcomes",
    "OS106": "events that cause each other again, with no timer on the way",
    "OS107": "two handlers answer one request",
    "OS108": "a long chain of services that wait for each other's answers",
    "OS109": "a handler that asks many",
    "OS110": "a handler whose question comes back to its own lane",
    "OS111": "a request that nobody answers",
    "OS112": "a handler whose key is not the event's",
    "OS113": "an alternative of a choice after which no outcome can come",
    "OS201": "events that cause each other for ever: no way leads out",
    "OS202": "a process that can never come to its end",
    "OS203": "a handler that waits for ever if another one chooses otherwise",
    "OS204": "two services that decide apart how a process ends",
}
"""The codes and what each one finds."""

_RANK: Final[Mapping[str, int]] = {"error": 0, "warning": 1, "info": 2}


@final
class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found: what, and what to do about it, each in one line.

    `path` is a shortest way to it, events and handlers in turn. `where` is ``"file.py:12"`` if the code is at hand.
    """

    code: str
    severity: Severity
    what: str
    mend: str
    service: str | None = None
    handler: str | None = None
    event: str | None = None
    where: str | None = None
    path: tuple[str, ...] = ()


def about(
    handler: HandlerManifest,
    code: str,
    severity: Severity,
    what: str,
    mend: str,
    *,
    event: str | None = None,
    path: tuple[str, ...] = (),
) -> Finding:
    """A finding about a handler, with its service."""
    return Finding(
        code=code,
        severity=severity,
        what=what,
        mend=mend,
        service=handler.service,
        handler=handler.name,
        event=event,
        path=path,
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorted: errors first, then by code and subject; the same for the same findings."""
    return tuple(sorted(findings, key=_place))


def _place(finding: Finding) -> tuple[int, str, str, str, str]:
    return _RANK[finding.severity], finding.code, finding.handler or "", finding.event or "", finding.what

"""Faults as data: what is to happen to the steps of a simulated world, as values that a test can list and vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from datetime import timedelta

    from onstage.contracts.service import Service
    from onstage.runtime.step import Step

__all__ = ["Crash", "Delay", "Fail", "Fault", "Recorded", "Stub"]


@final
@dataclass(frozen=True, slots=True)
class Fail:
    """The next `times` attempts of the step fail with `error`, before their effect."""

    step: Step[..., Any]
    error: BaseException
    times: int = 1


@final
@dataclass(frozen=True, slots=True)
class Stub:
    """The step's function is replaced by `value`: a result, or a function with the same parameters."""

    step: Step[..., Any]
    value: Any


@final
@dataclass(frozen=True, slots=True)
class Delay:
    """Every attempt of the step takes `duration` longer ("5s", a timedelta or seconds); its `timeout` counts it."""

    step: Step[..., Any]
    duration: str | timedelta | float


@final
@dataclass(frozen=True, slots=True)
class Crash:
    """The node dies right after an effect of the step `after` in a handler of `service`, before its commit.

    It does so `times` times; each time another node starts at once.
    """

    service: Service
    after: Step[..., Any]
    times: int = 1


@final
@dataclass(frozen=True, slots=True)
class Recorded:
    """What a step did once, in a history: in this handler ("payment.charge"), at this position ("charge#0").

    Its first `failures` attempts fail with `error`; then it has this result (plain data, as JSON has it), or with
    `fails_for_good` fails on. Each execution of the handler takes one, in the order in which they are planned; a step
    for which none is left fails, so that nothing outside is touched.
    """

    handler: str
    position: str
    result: Any = None
    failures: int = 0
    error: str = ""
    fails_for_good: bool = False


Fault = Fail | Stub | Delay | Crash | Recorded

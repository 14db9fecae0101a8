"""What may go wrong on a tour, and how often: the broker's faults, and those of the plain worlds that fit."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from onstage.testing.world.swarm import Fault

__all__ = ["LOG_LOSSES", "RATES_ON_TOUR", "REORDERS", "Mishap"]


class Mishap(StrEnum):
    """The faults of a broker, and of services that are away."""

    LOST_PUBLISH = "publish lost, or half of it"
    LOST_ACK = "acknowledgement lost"
    STORED_TWICE = "message stored twice"
    SWAPPED = "two subjects swapped"
    SLOW_BROKER = "slow broker"
    LINE_CUT = "a call to the broker fails"
    BROKER_AWAY = "broker away"
    CURSOR_FORGOTTEN = "cursor forgotten"
    TAIL_LOST = "tail of the log lost"
    LOG_ANEW = "log made anew"
    REGISTRY_LOST = "registry lost"
    MESSAGE_DROPPED = "message dropped from the middle"
    SERVICE_DOWN = "service down for long"
    OBSERVER_KILLED = "observer killed"
    OBSERVER_ANEW = "observer thrown away"


RATES_ON_TOUR: Final[dict[StrEnum, float]] = {
    Mishap.LOST_PUBLISH: 0.06,
    Mishap.LOST_ACK: 0.06,
    Mishap.STORED_TWICE: 0.06,
    Mishap.SWAPPED: 0.04,
    Mishap.SLOW_BROKER: 0.2,
    Mishap.LINE_CUT: 0.02,
    Mishap.BROKER_AWAY: 0.06,
    Mishap.CURSOR_FORGOTTEN: 0.15,
    Mishap.TAIL_LOST: 0.06,
    Mishap.LOG_ANEW: 0.02,
    Mishap.REGISTRY_LOST: 0.06,
    Mishap.MESSAGE_DROPPED: 0.1,
    Mishap.SERVICE_DOWN: 0.05,
    Mishap.OBSERVER_KILLED: 0.06,
    Mishap.OBSERVER_ANEW: 0.03,
    Fault.KILL_AT_TURN: 0.0015,
    Fault.KILL_IN_RECOVERY: 0.02,
    Fault.KILL_BEFORE_COMMIT: 0.006,
    Fault.KILL_AFTER_COMMIT: 0.006,
    Fault.SLOW_COMMIT: 0.05,
    Fault.CLOCK_SKEW: 0.3,
    Fault.STEP_RAISES: 0.1,
    Fault.STEP_RAISES_LATE: 0.1,
    Fault.HANDLER_RAISES: 0.06,
    Fault.DUPLICATE: 0.2,
    Fault.LOST_ANSWER: 0.2,
}
"""The chance at each occasion, at level 2."""

LOG_LOSSES: Final = frozenset({Mishap.TAIL_LOST, Mishap.LOG_ANEW, Mishap.MESSAGE_DROPPED})
REORDERS: Final = LOG_LOSSES | {Mishap.LOST_PUBLISH, Mishap.SWAPPED}
"""What may bring events of several types of one key into another order; those of one type it may not."""

"""Which faults a world has, how often each strikes, and how often each did.

Swarm testing (Groce and others, ISSTA 2012): each world leaves out about half of the classes, so that faults do not
always hide each other.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.testing.world.tape import Tape

__all__ = ["CRASHES", "RATES", "Fault", "Swarm"]


class Fault(StrEnum):
    """The classes of faults."""

    KILL_AT_TURN = "kill between two callbacks"
    KILL_BEFORE_COMMIT = "kill before a commit"
    KILL_AFTER_COMMIT = "kill after a commit, before anybody knows"
    KILL_IN_RECOVERY = "kill during recovery"
    DOUBLE_KILL = "kill again right after the start"
    STORE_BUSY = "store busy"
    ERROR_BEFORE_COMMIT = "error before the commit"
    ERROR_AFTER_COMMIT = "error after the commit"
    DISK_FULL = "disk full for a while"
    SLOW_COMMIT = "slow commit"
    SYNC_ERROR = "sync error"
    POWER_CUT = "power cut"
    NO_START = "store away at the start"
    ZOMBIE = "the dead writer writes once more"
    CLOCK_SKEW = "clock skew"
    CLOCK_JUMP = "clock jump"
    TIMERS_AT_ONCE = "many timers due at once"
    STEP_RAISES = "step raises"
    STEP_SLOW = "step slower than its timeout"
    STEP_RAISES_LATE = "step raises after its effect"
    HANDLER_RAISES = "handler raises"
    CANCELLED = "task cancelled"
    POISON = "stored payload spoilt"
    LIMIT = "payload at the limit"
    DUPLICATE = "event sent twice"
    OTHER_PAYLOAD = "same id, other payload"
    LOST_ANSWER = "answer lost"
    OPERATOR = "operator retries or drops"
    NEW_CODE = "restart with changed code"
    DIVERGING_CODE = "restart with diverging code"
    REORDER = "tasks wake in another order"
    TRANSACTION_RAISES = "a user's transaction raises after its write"
    BRANCH_CANCELLED = "a handler cancels one of its branches"
    SLOW_DOOR = "the store's answer at the door takes turns"
    BAD_PAYLOAD = "payload empty, broken or of another shape"
    CLIENTS_GONE = "all clients gone at once"
    TIMERS_IN_MASSES = "hundreds of timers due at once"
    ASKED_AT_ONCE = "a verdict is asked for right after a start"


CRASHES: Final = (
    Fault.KILL_AT_TURN, Fault.KILL_BEFORE_COMMIT, Fault.KILL_AFTER_COMMIT, Fault.KILL_IN_RECOVERY, Fault.DOUBLE_KILL,
    Fault.POWER_CUT,
)  # fmt: skip
"""What ends a life of the node."""

RATES: Final[dict[Fault, float]] = {
    Fault.KILL_AT_TURN: 0.012,
    Fault.KILL_BEFORE_COMMIT: 0.04,
    Fault.KILL_AFTER_COMMIT: 0.04,
    Fault.KILL_IN_RECOVERY: 0.15,
    Fault.DOUBLE_KILL: 0.3,
    Fault.STORE_BUSY: 0.06,
    Fault.ERROR_BEFORE_COMMIT: 0.05,
    Fault.ERROR_AFTER_COMMIT: 0.05,
    Fault.DISK_FULL: 0.015,
    Fault.SLOW_COMMIT: 0.1,
    Fault.SYNC_ERROR: 0.06,
    Fault.POWER_CUT: 0.3,
    Fault.NO_START: 0.15,
    Fault.ZOMBIE: 0.3,
    Fault.CLOCK_SKEW: 0.4,
    Fault.CLOCK_JUMP: 0.15,
    Fault.TIMERS_AT_ONCE: 0.06,
    Fault.STEP_RAISES: 0.25,
    Fault.STEP_SLOW: 0.1,
    Fault.STEP_RAISES_LATE: 0.15,
    Fault.HANDLER_RAISES: 0.08,
    Fault.CANCELLED: 0.06,
    Fault.POISON: 0.15,
    Fault.LIMIT: 0.02,
    Fault.DUPLICATE: 0.2,
    Fault.OTHER_PAYLOAD: 0.12,
    Fault.LOST_ANSWER: 0.2,
    Fault.OPERATOR: 0.3,
    Fault.NEW_CODE: 0.25,
    Fault.DIVERGING_CODE: 0.15,
    Fault.REORDER: 0.3,
    Fault.TRANSACTION_RAISES: 0.08,
    Fault.BRANCH_CANCELLED: 0.15,
    Fault.SLOW_DOOR: 0.4,
    Fault.BAD_PAYLOAD: 0.08,
    Fault.CLIENTS_GONE: 0.01,
    Fault.TIMERS_IN_MASSES: 0.0006,
    Fault.ASKED_AT_ONCE: 0.4,
}
"""The chance at each occasion, at level 2."""

_LEVELS: Final = (0.0, 0.4, 1.0, 2.0)
POWER_EVERY: Final = 20
"""One world in so many stands on a disk that can lose power; there a world takes several times as long."""


@final
class Swarm:
    """The faults of one world. When it is calm, nothing strikes any more."""

    def __init__(self, tape: Tape, rates: Mapping[StrEnum, float] | None = None) -> None:
        """Draw a level for each class of `rates` (those of this module if none are given); level 0 leaves it out."""
        known: Mapping[StrEnum, float] = {fault: RATES[fault] for fault in Fault} if rates is None else rates
        levels = tape.stream("levels")
        self.has_power_faults = levels.pick(POWER_EVERY) == POWER_EVERY - 1
        self._rates = {fault: _LEVELS[max(0, levels.pick(6) - 2)] * rate for fault, rate in known.items()}
        if not self.has_power_faults:
            self._rates |= dict.fromkeys((Fault.POWER_CUT, Fault.SYNC_ERROR), 0.0)
        self._streams = {fault: tape.stream(fault.value) for fault in known}
        self.counts: Counter[StrEnum] = Counter()
        self.is_calm = False
        self.full_until_s = 0.0

    def rate(self, fault: StrEnum) -> float:
        """The chance of this fault at each occasion; 0 if this world has none of it."""
        return 0.0 if self.is_calm else self._rates.get(fault, 0.0)

    def strikes(self, fault: StrEnum) -> bool:
        """Whether it happens now. It is counted."""
        rate = self._rates.get(fault, 0.0)
        if not rate or self.is_calm or not self._streams[fault].hit(rate):
            return False
        self.counts[fault] += 1
        return True

    def amount(self, fault: StrEnum, count: int) -> int:
        """How much of it, 0 to `count` - 1."""
        return self._streams[fault].pick(count)
